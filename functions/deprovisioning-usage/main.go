// Command deprovisioning-usage is the step of deprovision that removes a tenant's
// calls and what it used.
package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tenantry/tenantry/internal/boot"
	"github.com/tenantry/tenantry/internal/deprovisioning"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/task"
	"github.com/tenantry/tenantry/internal/work"
)

func main() { boot.Event(wire) }

func wire(cfg aws.Config, env *boot.Env) task.Handler {
	table := dynamo.NewTable(dynamodb.NewFromConfig(cfg), env.String("TABLE_NAME"))
	tenants := dynamo.NewTenants(table)
	return task.Apply(work.NewRunner(dynamo.NewOperations(table), tenants), deprovisioning.Usage(tenants))
}
