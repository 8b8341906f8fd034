// Command deprovisioning-fail is the end of a deprovision that could not be done:
// the operation is failed from then on, and the tenant waits for a retry.
package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tenantry/tenantry/internal/boot"
	"github.com/tenantry/tenantry/internal/deprovisioning"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/task"
)

func main() { boot.Event(wire) }

func wire(cfg aws.Config, env *boot.Env) task.Handler {
	table := dynamo.NewTable(dynamodb.NewFromConfig(cfg), env.String("TABLE_NAME"))
	return task.Fail(deprovisioning.NewRunner(dynamo.NewOperations(table), dynamo.NewTenants(table)).Fail)
}
