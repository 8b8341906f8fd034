// Command deprovisioning-credentials is the step of deprovision that removes a
// tenant's secrets.
package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tenantry/tenantry/internal/boot"
	"github.com/tenantry/tenantry/internal/deprovisioning"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/secret"
	"github.com/tenantry/tenantry/internal/task"
	"github.com/tenantry/tenantry/internal/work"
)

func main() { boot.Event(wire) }

func wire(cfg aws.Config, env *boot.Env) task.Handler {
	table := dynamo.NewTable(dynamodb.NewFromConfig(cfg), env.String("TABLE_NAME"))
	tenants, operations := dynamo.NewTenants(table), dynamo.NewOperations(table)
	secrets := secret.NewInventory(secretsmanager.NewFromConfig(cfg), env.String("STACK_NAME"))
	return task.Apply(work.NewRunner(operations, tenants), deprovisioning.Credentials(secrets, operations, tenants))
}
