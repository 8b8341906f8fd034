// Package workflow starts and looks up executions of Step Functions.
package workflow

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/go-json-experiment/json"

	"github.com/tenantry/tenantry/internal/operation"
)

// A Client is what this package uses of *sfn.Client.
type Client interface {
	StartExecution(context.Context, *sfn.StartExecutionInput, ...func(*sfn.Options)) (*sfn.StartExecutionOutput, error)
	DescribeExecution(context.Context, *sfn.DescribeExecutionInput, ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error)
	StopExecution(context.Context, *sfn.StopExecutionInput, ...func(*sfn.Options)) (*sfn.StopExecutionOutput, error)
}

// A Machine is one state machine. Each attempt of an operation is an execution
// of it, named after both.
type Machine struct {
	client Client
	arn    string
}

// NewMachine returns the state machine with the given ARN.
func NewMachine(client Client, arn string) *Machine { return &Machine{client, arn} }

// input is what the state machine starts with.
type input struct {
	OperationID operation.ID `json:"operation_id"`
	Attempt     int          `json:"attempt"`
	// PurgeAt is what a deprovisioning waits for.
	PurgeAt string `json:"purge_at,omitzero"`
}

func newInput(o operation.Operation) input {
	in := input{OperationID: o.ID, Attempt: o.Attempt}
	if !o.NotBefore.IsZero() {
		in.PurgeAt = o.NotBefore.UTC().Format(time.RFC3339)
	}
	return in
}

// Start starts the workflow of an operation's attempt. Starting what was started
// is no error.
func (m *Machine) Start(ctx context.Context, o operation.Operation) error {
	text, err := json.Marshal(newInput(o))
	if err != nil {
		return fmt.Errorf("encode the input of operation %s: %w", o.ID, err)
	}
	_, err = m.client.StartExecution(ctx, &sfn.StartExecutionInput{
		StateMachineArn: &m.arn,
		Name:            new(executionName(o)),
		Input:           new(string(text)),
	})
	if _, ok := errors.AsType[*types.ExecutionAlreadyExists](err); ok {
		return nil
	}
	if err != nil {
		return fmt.Errorf("start the workflow of operation %s: %w", o.ID, err)
	}
	return nil
}

// State says whether the execution of an operation's attempt was started, and
// whether it still runs.
func (m *Machine) State(ctx context.Context, o operation.Operation) (started, running bool, err error) {
	out, err := m.client.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: new(m.execution(o))})
	if _, ok := errors.AsType[*types.ExecutionDoesNotExist](err); ok {
		return false, false, nil
	}
	if err != nil {
		return false, false, fmt.Errorf("describe the workflow of operation %s: %w", o.ID, err)
	}
	return true, out.Status == types.ExecutionStatusRunning, nil
}

// Stop ends the execution of an operation's attempt. It is no error if there is
// none, or if it has ended.
func (m *Machine) Stop(ctx context.Context, o operation.Operation) error {
	_, err := m.client.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: new(m.execution(o))})
	if _, ok := errors.AsType[*types.ExecutionDoesNotExist](err); ok {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stop the workflow of operation %s: %w", o.ID, err)
	}
	return nil
}

// execution returns the ARN of the execution of an operation's attempt.
func (m *Machine) execution(o operation.Operation) string {
	return strings.Replace(m.arn, ":stateMachine:", ":execution:", 1) + ":" + executionName(o)
}

func executionName(o operation.Operation) string {
	return string(o.ID) + "-" + strconv.Itoa(o.Attempt)
}
