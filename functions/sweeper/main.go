// Command sweeper runs every minute, and finishes what was left undone.
package main

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/tenantry/tenantry/internal/boot"
	"github.com/tenantry/tenantry/internal/cognito"
	"github.com/tenantry/tenantry/internal/deprovisioning"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/invoke"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/provisioning"
	"github.com/tenantry/tenantry/internal/secret"
	"github.com/tenantry/tenantry/internal/sweep"
	"github.com/tenantry/tenantry/internal/user"
	"github.com/tenantry/tenantry/internal/work"
	"github.com/tenantry/tenantry/internal/workflow"
)

func main() { boot.Event(wire) }

func wire(cfg aws.Config, env *boot.Env) func(context.Context, struct{}) (struct{}, error) {
	db, secrets, stack := dynamodb.NewFromConfig(cfg), secretsmanager.NewFromConfig(cfg), env.String("STACK_NAME")
	table := dynamo.NewTable(db, env.String("TABLE_NAME"))
	tenants, operations, users := dynamo.NewTenants(table), dynamo.NewOperations(table), dynamo.NewUsers(table)
	directory := cognito.NewDirectory(cognitoidentityprovider.NewFromConfig(cfg), env.String("USER_POOL_ID"))
	due, vault, machines := dynamo.NewDue(table), secret.NewOperations(secrets, stack), sfn.NewFromConfig(cfg)
	provision := provisioning.Workflow{
		Machine: workflow.NewMachine(machines, env.String("STATE_MACHINE_ARN")),
		Runner:  provisioning.NewRunner(operations, tenants),
		Steps: []work.WayBack{
			provisioning.Database(dynamo.NewDatabases(db, stack), tenants),
			provisioning.RemoteMongoDB(invoke.NewStep(invoke.NewLambda(cfg), env.String("PROVISIONING_MONGODB_ARN"))),
			provisioning.Identity(directory, users, vault),
			provisioning.SIP(secret.NewTenants(secrets, stack), vault, tenants),
		},
	}
	sweeper := &sweep.Sweeper{
		Due:        due,
		Operations: operations,
		Tenants:    tenants,
		Accounts:   users,
		Calls:      dynamo.NewCalls(table),
		Directory:  directory,
		Vault:      vault,
		Inventory:  secret.NewInventory(secrets, stack),
		Workflows: map[operation.Kind]sweep.Workflow{
			operation.Provision: provision,
			operation.Migrate:   provision,
			operation.Deprovision: deprovisioning.Workflow{
				Machine:    workflow.NewMachine(machines, env.String("DEPROVISION_STATE_MACHINE_ARN")),
				Operations: operations,
			},
		},
	}
	counts, reports := dynamo.NewCounts(table), dynamo.NewHealth(table)
	inviter := user.NewInviter(users, tenants, directory)
	return func(ctx context.Context, _ struct{}) (struct{}, error) {
		invitations := func(ctx context.Context) error { return inviter.Sweep(ctx, due) }
		err := sweep.Together(ctx, sweeper.Sweep, invitations, counts.Fold)
		if err == nil {
			err = reports.Swept(ctx, time.Now())
		}
		return struct{}{}, err
	}
}
