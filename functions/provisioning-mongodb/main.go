// Command provisioning-mongodb is the step of provision that gives a dedicated
// tenant a MongoDB database of its own, where the stack has a server for them.
package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tenantry/tenantry/internal/boot"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/mongo"
	"github.com/tenantry/tenantry/internal/provisioning"
	"github.com/tenantry/tenantry/internal/secret"
	"github.com/tenantry/tenantry/internal/task"
	"github.com/tenantry/tenantry/internal/work"
)

func main() { boot.Event(wire) }

func wire(cfg aws.Config, env *boot.Env) task.Handler {
	table := dynamo.NewTable(dynamodb.NewFromConfig(cfg), env.String("TABLE_NAME"))
	tenants := dynamo.NewTenants(table)
	secrets, stack := secretsmanager.NewFromConfig(cfg), env.String("STACK_NAME")
	server := mongo.NewDriver(secret.NewConnection(secrets, env.Optional("MONGODB_SECRET_ARN")).URI)
	return task.Step(
		work.NewRunner(dynamo.NewOperations(table), tenants),
		provisioning.MongoDB(mongo.NewDatabases(server, stack), secret.NewOperations(secrets, stack), tenants),
	)
}
