package cognito

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
)

// A PoolDescriber is what Pool uses of *cognitoidentityprovider.Client.
type PoolDescriber interface {
	DescribeUserPool(context.Context, *cognitoidentityprovider.DescribeUserPoolInput, ...func(*cognitoidentityprovider.Options)) (*cognitoidentityprovider.DescribeUserPoolOutput, error)
}

// A Pool is a user pool, as far as it answers.
type Pool struct {
	client PoolDescriber
	id     string
}

// NewPool returns the user pool with the given id.
func NewPool(client PoolDescriber, id string) *Pool { return &Pool{client, id} }

// Ping fails unless the pool answers.
func (p *Pool) Ping(ctx context.Context) error {
	if _, err := p.client.DescribeUserPool(ctx, &cognitoidentityprovider.DescribeUserPoolInput{UserPoolId: &p.id}); err != nil {
		return fmt.Errorf("describe the user pool: %w", err)
	}
	return nil
}
