// Command health-check runs every minute, and whenever somebody asks, and reports
// how the platform is doing.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/tenantry/tenantry/internal/boot"
	"github.com/tenantry/tenantry/internal/cognito"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/health"
	"github.com/tenantry/tenantry/internal/invoke"
	"github.com/tenantry/tenantry/internal/metric"
	"github.com/tenantry/tenantry/internal/secret"
	"github.com/tenantry/tenantry/internal/workflow"
)

func main() { boot.Event(wire) }

func wire(cfg aws.Config, env *boot.Env) func(context.Context, struct{}) (struct{}, error) {
	db := dynamodb.NewFromConfig(cfg)
	table := dynamo.NewTable(db, env.String("TABLE_NAME"))
	pool := cognito.NewPool(cognitoidentityprovider.NewFromConfig(cfg), env.String("USER_POOL_ID"))
	key := secret.NewDescription(secretsmanager.NewFromConfig(cfg), env.String("HASH_KEY_ARN"))
	provision := workflow.NewDefinition(sfn.NewFromConfig(cfg), env.String("STATE_MACHINE_ARN"))
	reports := dynamo.NewHealth(table)
	namespace := env.String("METRICS_NAMESPACE")
	checker := &health.Checker{
		Store:   reports,
		Counter: reports,
		Probes: []health.Probe{
			{Name: "dynamodb", Kind: health.DynamoDB, Do: dynamo.NewHeadroom(table, db, env.Int("TABLE_LIMIT")).Probe},
			{Name: "cognito", Kind: health.Cognito, Do: health.Ping(pool.Ping)},
			{Name: "secretsmanager", Kind: health.SecretsManager, Do: health.Ping(key.Ping)},
			{Name: "stepfunctions", Kind: health.StepFunctions, Do: health.Ping(provision.Ping)},
		},
		Announce: func(ctx context.Context, r health.Report) {
			metric.Log(ctx, namespace, "health", r.Figures()...)
		},
	}
	if targets := env.Optional("HEALTH_PROBE_ARN"); targets != "" {
		checker.Targets = invoke.NewFunction(invoke.NewLambda(cfg), targets)
	}
	return func(ctx context.Context, _ struct{}) (struct{}, error) {
		_, err := checker.Check(ctx)
		return struct{}{}, err
	}
}
