// Command deprovisioning-finish is the last step of deprovision: a tombstone is
// left of the tenant, and what was reserved for it is free.
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
	return task.Do(deprovisioning.NewRunner(dynamo.NewOperations(table), dynamo.NewTenants(table)).Finish)
}
