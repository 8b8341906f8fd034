// Command provisioning-activate is the last step of provision: the tenant is
// active from then on.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tenantry/tenantry/internal/boot"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/provisioning"
	"github.com/tenantry/tenantry/internal/secret"
	"github.com/tenantry/tenantry/internal/task"
	"github.com/tenantry/tenantry/internal/work"
)

func main() { boot.Event(wire) }

func wire(cfg aws.Config, env *boot.Env) task.Handler {
	table := dynamo.NewTable(dynamodb.NewFromConfig(cfg), env.String("TABLE_NAME"))
	runner := provisioning.NewRunner(dynamo.NewOperations(table), dynamo.NewTenants(table))
	vault := secret.NewOperations(secretsmanager.NewFromConfig(cfg), env.String("STACK_NAME"))
	return task.Do(func(ctx context.Context, t work.Task) error { return runner.Activate(ctx, vault, t) })
}
