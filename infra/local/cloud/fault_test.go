package cloud_test

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tenantry/tenantry/infra/local/cloud"
)

// inject makes the calls whose body contains mark fail.
func inject(t *testing.T, mark string, fault cloud.Fault) {
	endpoint.SetFault(func(c cloud.Call) cloud.Fault {
		if bytes.Contains(c.Body, []byte(mark)) {
			return fault
		}
		return cloud.Fault{}
	})
	t.Cleanup(func() { endpoint.SetFault(nil) })
}

func TestFaults(t *testing.T) {
	c := secretsmanager.NewFromConfig(configuration())
	exists := func(name string) bool {
		_, err := c.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &name})
		return err == nil
	}
	create := func(name string) error {
		_, err := c.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: new("x"), ClientRequestToken: new("11111111-1111-1111-1111-111111111111")})
		return err
	}
	inject(t, `"Name":"fault/`, cloud.Fault{Effect: cloud.Refuse})
	if err := create("fault/refused"); failure(err) != "InternalFailure: injected fault" || exists("fault/refused") {
		t.Errorf("refused: got %v and exists %v", err, exists("fault/refused"))
	}
	inject(t, `"Name":"fault/`, cloud.Fault{Effect: cloud.Refuse, Status: 400, Code: "LimitExceededException", Message: "too many"})
	if err := create("fault/refused"); failure(err) != "LimitExceededException: too many" || exists("fault/refused") {
		t.Errorf("refused by name: got %v and exists %v", err, exists("fault/refused"))
	}
	inject(t, `"Name":"fault/`, cloud.Fault{Effect: cloud.LoseAnswer})
	if err := create("fault/lost"); err == nil || !exists("fault/lost") {
		t.Errorf("lost: got %v and exists %v", err, exists("fault/lost"))
	}
	endpoint.SetFault(nil)
	if err := create("fault/lost"); err != nil {
		t.Errorf("lost, and then repeated: got %v", err)
	}
}

func TestFaultInFrontOfEveryService(t *testing.T) {
	inject(t, "unlucky", cloud.Fault{Effect: cloud.Refuse, Code: "Injected"})
	arn := functions.register(func(event []byte) ([]byte, string) { return event, "" })
	for name, target := range map[string]string{
		"dynamodb": "DynamoDB_20120810.PutItem", "cognito-idp": "AWSCognitoIdentityProviderService.SignUp",
		"states": "AWSStepFunctions.StartExecution", "kms": "TrentService.Sign", "lambda": "",
	} {
		t.Run(name, func(t *testing.T) {
			path := "/"
			if target == "" {
				path = "/2015-03-31/functions/" + arn + "/invocations"
			}
			header := map[string]string{"X-Amz-Target": target, "Authorization": signature("AKIA", "us-east-1", name)}
			status, answer, err := send(t, http.MethodPost, path, header, `{"a":"unlucky"}`)
			if err != nil || status != http.StatusInternalServerError || answer != `{"__type":"Injected","message":"injected fault"}` {
				t.Errorf("got %d %s, %v, want the fault", status, answer, err)
			}
		})
	}
}

func TestCallsAreCounted(t *testing.T) {
	arn := functions.register(func(event []byte) ([]byte, string) { return event, "" })
	endpoint.ResetCalls()
	for range 2 {
		if _, _, err := send(t, http.MethodPost, "/", map[string]string{"X-Amz-Target": "DynamoDB_20120810.PutItem"}, "{}"); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := send(t, http.MethodPost, "/2015-03-31/functions/"+arn+"/invocations", nil, "{}"); err != nil {
		t.Fatal(err)
	}
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Authorization": signature("AKIA", "us-east-1", "sts")}
	if _, _, err := send(t, http.MethodPost, "/", form, callerIdentity); err != nil {
		t.Fatal(err)
	}
	got := endpoint.Calls()
	for op, want := range map[cloud.Operation]int{
		{Service: "dynamodb", Name: "PutItem"}:      2,
		{Service: "lambda", Name: "Invoke"}:         1,
		{Service: "sts", Name: "GetCallerIdentity"}: 1,
	} {
		if got[op] != want {
			t.Errorf("%v: got %d, want %d", op, got[op], want)
		}
	}
	endpoint.ResetCalls()
	if got := endpoint.Calls(); len(got) != 0 {
		t.Errorf("got %v after the reset, want none", got)
	}
}
