package workflow

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
)

// A Describer is what Definition uses of *sfn.Client.
type Describer interface {
	DescribeStateMachine(context.Context, *sfn.DescribeStateMachineInput, ...func(*sfn.Options)) (*sfn.DescribeStateMachineOutput, error)
}

// A Definition is that of one state machine.
type Definition struct {
	client Describer
	arn    string
}

// NewDefinition returns the definition of the state machine with the given ARN.
func NewDefinition(client Describer, arn string) *Definition { return &Definition{client, arn} }

// Ping fails unless the state machine can be described.
func (d *Definition) Ping(ctx context.Context) error {
	if _, err := d.client.DescribeStateMachine(ctx, &sfn.DescribeStateMachineInput{StateMachineArn: &d.arn}); err != nil {
		return fmt.Errorf("describe a state machine: %w", err)
	}
	return nil
}
