// Command tenant-migrate serves POST /tenants/{tenant_id}/migrate.
package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/tenantry/tenantry/internal/api"
	"github.com/tenantry/tenantry/internal/boot"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/provisioning"
	"github.com/tenantry/tenantry/internal/secret"
	"github.com/tenantry/tenantry/internal/workflow"
)

func main() { boot.HTTP(wire) }

func wire(cfg aws.Config, env *boot.Env) api.Operation {
	table := dynamo.NewTable(dynamodb.NewFromConfig(cfg), env.String("TABLE_NAME"))
	machine := workflow.NewMachine(sfn.NewFromConfig(cfg), env.String("STATE_MACHINE_ARN"))
	hashKey := secret.NewValue(secretsmanager.NewFromConfig(cfg), env.String("HASH_KEY_ARN"))
	return api.MigrateTenant(provisioning.NewMigrator(dynamo.NewTenants(table), machine), dynamo.NewOperations(table), dynamo.NewRecords(table), hashKey.Bytes)
}
