// Command sip-digest-get serves GET /tenants/{tenant_id}/sip-credentials/digest.
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
	return api.GetSIPDigest(tenant.NewService(dynamo.NewTenants(table), vault), dynamo.NewOperations(table))
}
