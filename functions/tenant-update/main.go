// Command tenant-update serves PUT and PATCH /tenants/{tenant_id}.
package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tenantry/tenantry/internal/api"
	"github.com/tenantry/tenantry/internal/boot"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/secret"
	"github.com/tenantry/tenantry/internal/tenant"
)

func main() { boot.HTTP(wire) }

func wire(cfg aws.Config, env *boot.Env) api.Operation {
	table := dynamo.NewTable(dynamodb.NewFromConfig(cfg), env.String("TABLE_NAME"))
	vault := secret.NewTenants(secretsmanager.NewFromConfig(cfg), env.String("STACK_NAME"))
	service := tenant.NewService(dynamo.NewTenants(table), vault)
	return api.UpdateTenant(service, dynamo.NewStats(table), dynamo.NewOperations(table)).Guarded(dynamo.NewImpersonations(table))
}
