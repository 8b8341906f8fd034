package workflow_test

import (
	"context"
	"errors"
	"testing"
	"time"

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
	stopped   *sfn.StopExecutionInput
}

func (c *client) StartExecution(_ context.Context, in *sfn.StartExecutionInput, _ ...func(*sfn.Options)) (*sfn.StartExecutionOutput, error) {
	c.started = in
	return &sfn.StartExecutionOutput{}, c.err
}

func (c *client) DescribeExecution(_ context.Context, in *sfn.DescribeExecutionInput, _ ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error) {
	c.described = in
	return &sfn.DescribeExecutionOutput{Status: c.status}, c.err
}

func (c *client) StopExecution(_ context.Context, in *sfn.StopExecutionInput, _ ...func(*sfn.Options)) (*sfn.StopExecutionOutput, error) {
	c.stopped = in
	return &sfn.StopExecutionOutput{}, c.err
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

// TestStartLater starts an execution that is to wait.
func TestStartLater(t *testing.T) {
	c, later := &client{}, second
	later.NotBefore = time.Date(2026, 11, 22, 8, 30, 5, 0, time.FixedZone("WIB", 7*60*60))
	if err := workflow.NewMachine(c, machineARN).Start(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	if want := `{"operation_id":"6f1c","attempt":2,"purge_at":"2026-11-22T01:30:05Z"}`; *c.started.Input != want {
		t.Errorf("started with %s, want %s", *c.started.Input, want)
	}
}

func TestStop(t *testing.T) {
	for name, test := range map[string]struct{ err, want error }{
		"stopped": {nil, nil},
		"none":    {&types.ExecutionDoesNotExist{}, nil},
		"down":    {errDown, errDown},
	} {
		t.Run(name, func(t *testing.T) {
			c := &client{err: test.err}
			if err := workflow.NewMachine(c, machineARN).Stop(t.Context(), second); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if *c.stopped.ExecutionArn != executionARN {
				t.Errorf("stopped %s, want %s", *c.stopped.ExecutionArn, executionARN)
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
