// Command sip-credentials-rotate serves POST
// /tenants/{tenant_id}/sip-credentials/rotate.
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
	secrets := secretsmanager.NewFromConfig(cfg)
	rotator := tenant.NewRotator(dynamo.NewTenants(table), secret.NewTenants(secrets, env.String("STACK_NAME")))
	hashKey := secret.NewValue(secrets, env.String("HASH_KEY_ARN"))
	return api.RotateSIPCredentials(rotator, dynamo.NewOperations(table), dynamo.NewRecords(table), hashKey.Bytes)
}
