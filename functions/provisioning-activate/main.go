// Command provisioning-activate is the last step of provision: the tenant is
// active from then on.
package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tenantry/tenantry/internal/boot"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/provisioning"
	"github.com/tenantry/tenantry/internal/secret"
	"github.com/tenantry/tenantry/internal/task"
)

func main() { boot.Event(wire) }

func wire(cfg aws.Config, env *boot.Env) task.Handler {
	table := dynamo.NewTable(dynamodb.NewFromConfig(cfg), env.String("TABLE_NAME"))
	return task.Activate(
		provisioning.NewRunner(dynamo.NewOperations(table), dynamo.NewTenants(table)),
		secret.NewOperations(secretsmanager.NewFromConfig(cfg), env.String("STACK_NAME")),
	)
}
