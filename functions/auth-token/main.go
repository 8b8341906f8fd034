// Command auth-token serves POST /auth/token.
package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/tenantry/tenantry/internal/account"
	"github.com/tenantry/tenantry/internal/api"
	"github.com/tenantry/tenantry/internal/attempt"
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
	users := dynamo.NewUsers(table)
	directory := cognito.NewDirectory(cognitoidentityprovider.NewFromConfig(cfg), env.String("USER_POOL_ID"))
	clientSecret := secret.NewValue(secretsmanager.NewFromConfig(cfg), env.String("CLIENT_SECRET_ARN"))
	accounts := cognito.NewAppClient(directory, env.String("CLIENT_ID"), clientSecret)
	onboarder := provisioning.NewService(
		dynamo.NewTenants(table),
		users,
		nil, // accounts bring no passwords for others
		workflow.NewMachine(sfn.NewFromConfig(cfg), env.String("STATE_MACHINE_ARN")),
	)
	limits := attempt.NewLimits(dynamo.NewAttempts(table), attempt.Rules{
		Address: env.Int("AUTH_ADDRESS_LIMIT"), Account: env.Int("AUTH_ACCOUNT_LIMIT"), Window: env.Seconds("AUTH_LIMIT_SECONDS"),
	})
	return api.CreateToken(account.NewDesk(accounts, users, dynamo.NewTenants(table), onboarder, dynamo.NewAudit(table)), limits)
}
