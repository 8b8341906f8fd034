// Command deprovisioning-begin is the first step of deprovision: when the grace
// period is over, the tenant cannot be restored any more.
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
	return task.Do(deprovisioning.NewRunner(dynamo.NewOperations(table), dynamo.NewTenants(table)).Begin)
}
