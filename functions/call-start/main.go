// Command call-start serves POST /tenants/{tenant_id}/calls.
package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tenantry/tenantry/internal/api"
	"github.com/tenantry/tenantry/internal/boot"
	"github.com/tenantry/tenantry/internal/call"
	"github.com/tenantry/tenantry/internal/dynamo"
)

func main() { boot.HTTP(wire) }

func wire(cfg aws.Config, env *boot.Env) api.Operation {
	table := dynamo.NewTable(dynamodb.NewFromConfig(cfg), env.String("TABLE_NAME"))
	service := call.NewService(dynamo.NewCalls(table), dynamo.NewTenants(table), dynamo.NewAgents(table))
	return api.StartCall(service, dynamo.NewOperations(table))
}
