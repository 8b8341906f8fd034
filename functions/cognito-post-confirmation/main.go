// Command cognito-post-confirmation gives confirmed accounts their place on the platform.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/tenantry/tenantry/internal/account"
	"github.com/tenantry/tenantry/internal/boot"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/provisioning"
	"github.com/tenantry/tenantry/internal/trigger"
	"github.com/tenantry/tenantry/internal/workflow"
)

func main() { boot.Event(wire) }

func wire(cfg aws.Config, env *boot.Env) func(context.Context, trigger.Event) (trigger.Event, error) {
	table := dynamo.NewTable(dynamodb.NewFromConfig(cfg), env.String("TABLE_NAME"))
	users := dynamo.NewUsers(table)
	onboarder := provisioning.NewService(
		dynamo.NewTenants(table),
		users,
		nil, // accounts bring no passwords for others
		workflow.NewMachine(sfn.NewFromConfig(cfg), env.String("STATE_MACHINE_ARN")),
	)
	return trigger.PostConfirmation(onboarder, account.NewAftermath(users, dynamo.NewAudit(table)))
}
