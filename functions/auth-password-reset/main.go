// Command auth-password-reset serves POST /auth/password/reset.
package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tenantry/tenantry/internal/account"
	"github.com/tenantry/tenantry/internal/api"
	"github.com/tenantry/tenantry/internal/attempt"
	"github.com/tenantry/tenantry/internal/boot"
	"github.com/tenantry/tenantry/internal/cognito"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/secret"
)

func main() { boot.HTTP(wire) }

func wire(cfg aws.Config, env *boot.Env) api.Operation {
	table := dynamo.NewTable(dynamodb.NewFromConfig(cfg), env.String("TABLE_NAME"))
	directory := cognito.NewDirectory(cognitoidentityprovider.NewFromConfig(cfg), env.String("USER_POOL_ID"))
	clientSecret := secret.NewValue(secretsmanager.NewFromConfig(cfg), env.String("CLIENT_SECRET_ARN"))
	accounts := cognito.NewAppClient(directory, env.String("CLIENT_ID"), clientSecret)
	limits := attempt.NewLimits(dynamo.NewAttempts(table), attempt.Rules{
		Address: env.Int("AUTH_ADDRESS_LIMIT"), Account: env.Int("AUTH_ACCOUNT_LIMIT"), Window: env.Seconds("AUTH_LIMIT_SECONDS"),
	})
	return api.ResetPassword(account.NewRecovery(accounts, dynamo.NewUsers(table), dynamo.NewAudit(table)), limits)
}
