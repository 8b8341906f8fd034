// Command user-reset-password serves POST /users/{user_id}/reset-password.
package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tenantry/tenantry/internal/api"
	"github.com/tenantry/tenantry/internal/boot"
	"github.com/tenantry/tenantry/internal/cognito"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/secret"
	"github.com/tenantry/tenantry/internal/user"
)

func main() { boot.HTTP(wire) }

func wire(cfg aws.Config, env *boot.Env) api.Operation {
	table := dynamo.NewTable(dynamodb.NewFromConfig(cfg), env.String("TABLE_NAME"))
	directory := cognito.NewDirectory(cognitoidentityprovider.NewFromConfig(cfg), env.String("USER_POOL_ID"))
	resetter := user.NewResetter(dynamo.NewUsers(table), dynamo.NewTenants(table), directory)
	hashKey := secret.NewValue(secretsmanager.NewFromConfig(cfg), env.String("HASH_KEY_ARN"))
	return api.ResetUserPassword(resetter, dynamo.NewOperations(table), dynamo.NewRecords(table), hashKey.Bytes).Guarded(dynamo.NewImpersonations(table))
}
