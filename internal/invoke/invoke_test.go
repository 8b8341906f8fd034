package invoke_test

import (
	"context"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/tenantry/tenantry/internal/invoke"
	"github.com/tenantry/tenantry/internal/operation"
)

// client answers every call alike, and remembers the last.
type client struct {
	in  *lambda.InvokeInput
	out lambda.InvokeOutput
	err error
}

func (c *client) Invoke(_ context.Context, in *lambda.InvokeInput, _ ...func(*lambda.Options)) (*lambda.InvokeOutput, error) {
	c.in = in
	return &c.out, c.err
}

func TestUndo(t *testing.T) {
	errDown := errors.New("down")
	for name, test := range map[string]struct {
		client client
		want   string
	}{
		"done":   {client{out: lambda.InvokeOutput{Payload: []byte("{}")}}, ""},
		"failed": {client{out: lambda.InvokeOutput{Payload: []byte(`{"errorType":"internal"}`), FunctionError: new("Unhandled")}}, "call arn: it failed: Unhandled"},
		"down":   {client{err: errDown}, "call arn: down"},
	} {
		err := invoke.NewStep(&test.client, "arn").Undo(t.Context(), operation.Operation{ID: "o", Attempt: 2})
		if err == nil && test.want != "" || err != nil && err.Error() != test.want {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
		if got, want := string(test.client.in.Payload), `{"operation_id":"o","attempt":2,"action":"undo"}`; got != want || *test.client.in.FunctionName != "arn" {
			t.Errorf("%s: %s was sent %s, want %s", name, *test.client.in.FunctionName, got, want)
		}
	}
}
