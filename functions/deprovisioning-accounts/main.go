// Command deprovisioning-accounts is the step of deprovision that removes a
// tenant's users, with their accounts.
package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tenantry/tenantry/internal/boot"
	"github.com/tenantry/tenantry/internal/cognito"
	"github.com/tenantry/tenantry/internal/deprovisioning"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/task"
	"github.com/tenantry/tenantry/internal/work"
)

func main() { boot.Event(wire) }

func wire(cfg aws.Config, env *boot.Env) task.Handler {
	table := dynamo.NewTable(dynamodb.NewFromConfig(cfg), env.String("TABLE_NAME"))
	operations := dynamo.NewOperations(table)
	directory := cognito.NewDirectory(cognitoidentityprovider.NewFromConfig(cfg), env.String("USER_POOL_ID"))
	return task.Apply(
		work.NewRunner(operations, dynamo.NewTenants(table)),
		deprovisioning.Accounts(dynamo.NewUsers(table), directory, dynamo.NewDue(table), operations),
	)
}
