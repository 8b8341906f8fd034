// Command tenant-delete serves DELETE /tenants/{tenant_id}.
package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/tenantry/tenantry/internal/api"
	"github.com/tenantry/tenantry/internal/boot"
	"github.com/tenantry/tenantry/internal/deprovisioning"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/workflow"
)

func main() { boot.HTTP(wire) }

func wire(cfg aws.Config, env *boot.Env) api.Operation {
	table := dynamo.NewTable(dynamodb.NewFromConfig(cfg), env.String("TABLE_NAME"))
	operations := dynamo.NewOperations(table)
	machine := workflow.NewMachine(sfn.NewFromConfig(cfg), env.String("STATE_MACHINE_ARN"))
	deleter := deprovisioning.NewDeleter(dynamo.NewTenants(table), operations, machine, env.Seconds("DELETION_GRACE_SECONDS"))
	return api.DeleteTenant(deleter, operations)
}
