// Command operation-retry serves POST /operations/{operation_id}/retry.
package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/tenantry/tenantry/internal/api"
	"github.com/tenantry/tenantry/internal/boot"
	"github.com/tenantry/tenantry/internal/deprovisioning"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/provisioning"
	"github.com/tenantry/tenantry/internal/secret"
	"github.com/tenantry/tenantry/internal/workflow"
)

func main() { boot.HTTP(wire) }

func wire(cfg aws.Config, env *boot.Env) api.Operation {
	table := dynamo.NewTable(dynamodb.NewFromConfig(cfg), env.String("TABLE_NAME"))
	secrets := secretsmanager.NewFromConfig(cfg)
	operations, tenants, vault := dynamo.NewOperations(table), dynamo.NewTenants(table), secret.NewOperations(secrets, env.String("STACK_NAME"))
	machines := sfn.NewFromConfig(cfg)
	provision := workflow.NewMachine(machines, env.String("STATE_MACHINE_ARN"))
	deprovision := workflow.NewMachine(machines, env.String("DEPROVISION_STATE_MACHINE_ARN"))
	retriers := map[operation.Kind]api.OperationRetrier{
		operation.Provision:   provisioning.NewRetrier(operations, tenants, vault, provision),
		operation.Deprovision: deprovisioning.NewRetrier(operations, tenants, deprovision),
		operation.Migrate:     provisioning.NewMigrationRetrier(operations, tenants, provision),
	}
	hashKey := secret.NewValue(secrets, env.String("HASH_KEY_ARN"))
	return api.RetryOperation(operations, retriers, dynamo.NewRecords(table), hashKey.Bytes)
}
