// Command operation-retry serves POST /operations/{operation_id}/retry.
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
	secrets := secretsmanager.NewFromConfig(cfg)
	retrier := provisioning.NewRetrier(
		dynamo.NewOperations(table),
		dynamo.NewTenants(table),
		secret.NewOperations(secrets, env.String("STACK_NAME")),
		workflow.NewMachine(sfn.NewFromConfig(cfg), env.String("STATE_MACHINE_ARN")),
	)
	hashKey := secret.NewValue(secrets, env.String("HASH_KEY_ARN"))
	return api.RetryOperation(retrier, dynamo.NewRecords(table), hashKey.Bytes)
}
