// Command system-health-history serves GET /system/health/history.
package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tenantry/tenantry/internal/api"
	"github.com/tenantry/tenantry/internal/boot"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/secret"
)

func main() { boot.HTTP(wire) }

func wire(cfg aws.Config, env *boot.Env) api.Operation {
	table := dynamo.NewTable(dynamodb.NewFromConfig(cfg), env.String("TABLE_NAME"))
	hashKey := secret.NewValue(secretsmanager.NewFromConfig(cfg), env.String("HASH_KEY_ARN"))
	return api.ListSystemHealth(dynamo.NewHealth(table), api.NewCursors(hashKey.Bytes))
}
