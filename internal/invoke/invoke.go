// Package invoke calls other Lambda functions and waits for what they answer.
package invoke

import (
	"context"
	"fmt"

	"github.com/go-json-experiment/json"

	"github.com/tenantry/tenantry/internal/health"
	"github.com/tenantry/tenantry/internal/operation"
)

// A Client calls functions.
type Client interface {
	// Invoke calls a function by its ARN, at least once, and returns what it answers.
	Invoke(ctx context.Context, arn string, payload []byte) ([]byte, error)
}

// A Function is one Lambda function that takes no input.
type Function struct {
	client Client
	arn    string
}

// NewFunction returns the function with the given ARN.
func NewFunction(client Client, arn string) *Function { return &Function{client, arn} }

// Call calls the function, and reads its answer into out.
func (f *Function) Call(ctx context.Context, out any) error { return f.call(ctx, struct{}{}, out) }

func (f *Function) call(ctx context.Context, in, out any) error {
	payload, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("call %s: %w", f.arn, err)
	}
	answer, err := f.client.Invoke(ctx, f.arn, payload)
	if err != nil {
		return fmt.Errorf("call %s: %w", f.arn, err)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("read the answer of %s: %w", f.arn, err)
	}
	return nil
}

// Refresh has the function make a report of the platform's health.
func (f *Function) Refresh(ctx context.Context) error { return f.Call(ctx, &struct{}{}) }

// ProbeTargets has the function probe what the operator lists.
func (f *Function) ProbeTargets(ctx context.Context) ([]health.Component, error) {
	var components []health.Component
	err := f.Call(ctx, &components)
	return components, err
}

// A Step is the function of a workflow's step that has a way back.
type Step struct{ function *Function }

// NewStep returns the step whose function has the given ARN.
func NewStep(client Client, arn string) Step { return Step{NewFunction(client, arn)} }

// Undo has the step of the operation's attempt undone, as the workflow would.
func (s Step) Undo(ctx context.Context, o operation.Operation) error {
	task := struct {
		OperationID operation.ID `json:"operation_id"`
		Attempt     int          `json:"attempt"`
		Action      string       `json:"action"`
	}{o.ID, o.Attempt, "undo"}
	return s.function.call(ctx, task, &struct{}{})
}
