// Command provisioning-sip is the step of provision that puts a tenant's SIP
// password, and the secret of its webhook, where they are used from.
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
	"github.com/tenantry/tenantry/internal/work"
)

func main() { boot.Event(wire) }

func wire(cfg aws.Config, env *boot.Env) task.Handler {
	table := dynamo.NewTable(dynamodb.NewFromConfig(cfg), env.String("TABLE_NAME"))
	tenants := dynamo.NewTenants(table)
	secrets, stack := secretsmanager.NewFromConfig(cfg), env.String("STACK_NAME")
	return task.Step(
		work.NewRunner(dynamo.NewOperations(table), tenants),
		provisioning.SIP(secret.NewTenants(secrets, stack), secret.NewOperations(secrets, stack), tenants),
	)
}
