// Command deprovisioning-mongodb is the step of deprovision that removes the
// MongoDB database of a dedicated tenant.
package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tenantry/tenantry/internal/boot"
	"github.com/tenantry/tenantry/internal/deprovisioning"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/mongo"
	"github.com/tenantry/tenantry/internal/secret"
	"github.com/tenantry/tenantry/internal/task"
	"github.com/tenantry/tenantry/internal/work"
)

func main() { boot.Event(wire) }

func wire(cfg aws.Config, env *boot.Env) task.Handler {
	table := dynamo.NewTable(dynamodb.NewFromConfig(cfg), env.String("TABLE_NAME"))
	tenants := dynamo.NewTenants(table)
	server := mongo.NewDriver(secret.NewConnection(secretsmanager.NewFromConfig(cfg), env.Optional("MONGODB_SECRET_ARN")).URI)
	return task.Apply(
		work.NewRunner(dynamo.NewOperations(table), tenants),
		deprovisioning.MongoDB(mongo.NewDatabases(server, env.String("STACK_NAME")), tenants),
	)
}
