// Package invoke calls other Lambda functions and waits for what they answer.
package invoke

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/go-json-experiment/json"

	"github.com/tenantry/tenantry/internal/health"
)

// A Client is what this package uses of *lambda.Client.
type Client interface {
	Invoke(context.Context, *lambda.InvokeInput, ...func(*lambda.Options)) (*lambda.InvokeOutput, error)
}

// A Function is one Lambda function that takes no input.
type Function struct {
	client Client
	arn    string
}

// NewFunction returns the function with the given ARN.
func NewFunction(client Client, arn string) *Function { return &Function{client, arn} }

// Call calls the function, and reads its answer into out.
func (f *Function) Call(ctx context.Context, out any) error {
	answer, err := f.client.Invoke(ctx, &lambda.InvokeInput{FunctionName: &f.arn, Payload: []byte("{}")})
	if err != nil {
		return fmt.Errorf("call %s: %w", f.arn, err)
	}
	if answer.FunctionError != nil {
		return errors.New("call " + f.arn + ": it failed: " + aws.ToString(answer.FunctionError))
	}
	if err := json.Unmarshal(answer.Payload, out); err != nil {
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
