// Command authorizer finds out who calls the API.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tenantry/tenantry/internal/authorizer"
	"github.com/tenantry/tenantry/internal/boot"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/token"
)

func main() { boot.Event(wire) }

func wire(cfg aws.Config, env *boot.Env) func(context.Context, authorizer.Request) (authorizer.Answer, error) {
	table := dynamo.NewTable(dynamodb.NewFromConfig(cfg), env.String("TABLE_NAME"))
	audience := token.Audience{Issuer: env.String("ISSUER"), ClientID: env.String("CLIENT_ID")}
	keys := token.NewKeys(cfg.HTTPClient, env.String("JWKS_URL"))
	return authorizer.New(authorizer.Stores{
		Tokens:         token.NewVerifier(audience, keys),
		Users:          dynamo.NewUsers(table),
		Keys:           dynamo.NewAPIKeys(table),
		Impersonations: dynamo.NewImpersonations(table),
	})
}
