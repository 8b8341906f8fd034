// Command tenant-create serves POST /tenants.
package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/tenantry/tenantry/internal/api"
	"github.com/tenantry/tenantry/internal/boot"
	"github.com/tenantry/tenantry/internal/cognito"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/provisioning"
	"github.com/tenantry/tenantry/internal/secret"
	"github.com/tenantry/tenantry/internal/workflow"
)

func main() { boot.HTTP(wire) }

func wire(cfg aws.Config, env *boot.Env) api.Operation {
	table := dynamo.NewTable(dynamodb.NewFromConfig(cfg), env.String("TABLE_NAME"))
	secrets := secretsmanager.NewFromConfig(cfg)
	service := provisioning.NewService(
		dynamo.NewTenants(table),
		dynamo.NewUsers(table),
		secret.NewOperations(secrets, env.String("STACK_NAME")),
		workflow.NewMachine(sfn.NewFromConfig(cfg), env.String("STATE_MACHINE_ARN")),
	).WithMongoDB(env.Bool("HAS_MONGODB"))
	directory := cognito.NewDirectory(cognitoidentityprovider.NewFromConfig(cfg), env.String("USER_POOL_ID"))
	hashKey := secret.NewValue(secrets, env.String("HASH_KEY_ARN"))
	return api.CreateTenant(service, directory, dynamo.NewRecords(table), hashKey.Bytes)
}
