package workflow_test

import (
	"context"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/workflow"
)

const (
	machineARN   = "arn:aws:states:eu-west-1:123456789012:stateMachine:app-provision"
	executionARN = "arn:aws:states:eu-west-1:123456789012:execution:app-provision:6f1c-2"
)

// second is an operation in its second attempt.
var second = operation.Operation{ID: "6f1c", Attempt: 2}

// A client answers with what it is given, and keeps what it was asked.
type client struct {
	err       error
	status    types.ExecutionStatus
	started   *sfn.StartExecutionInput
	described *sfn.DescribeExecutionInput
}

func (c *client) StartExecution(_ context.Context, in *sfn.StartExecutionInput, _ ...func(*sfn.Options)) (*sfn.StartExecutionOutput, error) {
	c.started = in
	return &sfn.StartExecutionOutput{}, c.err
}

func (c *client) DescribeExecution(_ context.Context, in *sfn.DescribeExecutionInput, _ ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error) {
	c.described = in
	return &sfn.DescribeExecutionOutput{Status: c.status}, c.err
}

var errDown = errors.New("down")

func TestStart(t *testing.T) {
	for name, test := range map[string]struct{ err, want error }{
		"started":         {nil, nil},
		"started already": {&types.ExecutionAlreadyExists{}, nil},
		"down":            {errDown, errDown},
	} {
		t.Run(name, func(t *testing.T) {
			c := &client{err: test.err}
			if err := workflow.NewMachine(c, machineARN).Start(t.Context(), second); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if *c.started.StateMachineArn != machineARN || *c.started.Name != "6f1c-2" || *c.started.Input != `{"operation_id":"6f1c","attempt":2}` {
				t.Errorf("started %s as %s with %s", *c.started.StateMachineArn, *c.started.Name, *c.started.Input)
			}
		})
	}
}

func TestState(t *testing.T) {
	for name, test := range map[string]struct {
		status           types.ExecutionStatus
		err              error
		started, running bool
		want             error
	}{
		"running":   {types.ExecutionStatusRunning, nil, true, true, nil},
		"succeeded": {types.ExecutionStatusSucceeded, nil, true, false, nil},
		"failed":    {types.ExecutionStatusFailed, nil, true, false, nil},
		"timed out": {types.ExecutionStatusTimedOut, nil, true, false, nil},
		"aborted":   {types.ExecutionStatusAborted, nil, true, false, nil},
		"none":      {"", &types.ExecutionDoesNotExist{}, false, false, nil},
		"down":      {"", errDown, false, false, errDown},
	} {
		t.Run(name, func(t *testing.T) {
			c := &client{err: test.err, status: test.status}
			started, running, err := workflow.NewMachine(c, machineARN).State(t.Context(), second)
			if started != test.started || running != test.running || !errors.Is(err, test.want) {
				t.Errorf("got %t, %t, %v, want %t, %t, %v", started, running, err, test.started, test.running, test.want)
			}
			if *c.described.ExecutionArn != executionARN {
				t.Errorf("asked for %s, want %s", *c.described.ExecutionArn, executionARN)
			}
		})
	}
}
