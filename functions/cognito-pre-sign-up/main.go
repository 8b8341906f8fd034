// Command cognito-pre-sign-up refuses the accounts that POST /auth/signup refuses.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tenantry/tenantry/internal/boot"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/trigger"
)

func main() { boot.Event(wire) }

func wire(cfg aws.Config, env *boot.Env) func(context.Context, trigger.Event) (trigger.Event, error) {
	table := dynamo.NewTable(dynamodb.NewFromConfig(cfg), env.String("TABLE_NAME"))
	return trigger.PreSignUp(dynamo.NewUsers(table), env.Bool("AUTO_CONFIRM"))
}
