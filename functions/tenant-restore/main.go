// Command tenant-restore serves POST /tenants/{tenant_id}/restore.
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
	"github.com/tenantry/tenantry/internal/secret"
	"github.com/tenantry/tenantry/internal/workflow"
)

func main() { boot.HTTP(wire) }

func wire(cfg aws.Config, env *boot.Env) api.Operation {
	table := dynamo.NewTable(dynamodb.NewFromConfig(cfg), env.String("TABLE_NAME"))
	machine := workflow.NewMachine(sfn.NewFromConfig(cfg), env.String("STATE_MACHINE_ARN"))
	restorer := deprovisioning.NewRestorer(dynamo.NewTenants(table), dynamo.NewOperations(table), machine)
	hashKey := secret.NewValue(secretsmanager.NewFromConfig(cfg), env.String("HASH_KEY_ARN"))
	return api.RestoreTenant(restorer, dynamo.NewStats(table), dynamo.NewRecords(table), hashKey.Bytes)
}
