// Command provisioning-database is the step of provision that gives a dedicated
// tenant a database of its own.
package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tenantry/tenantry/internal/boot"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/provisioning"
	"github.com/tenantry/tenantry/internal/task"
	"github.com/tenantry/tenantry/internal/work"
)

func main() { boot.Event(wire) }

func wire(cfg aws.Config, env *boot.Env) task.Handler {
	db := dynamodb.NewFromConfig(cfg)
	table := dynamo.NewTable(db, env.String("TABLE_NAME"))
	tenants := dynamo.NewTenants(table)
	return task.Step(
		work.NewRunner(dynamo.NewOperations(table), tenants),
		provisioning.Database(dynamo.NewDatabases(db, env.String("STACK_NAME")), tenants),
	)
}
