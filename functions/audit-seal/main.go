// Command audit-seal runs every minute, and puts records of the audit into the
// chains of their streams.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/boot"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/signing"
)

func main() { boot.Event(wire) }

func wire(cfg aws.Config, env *boot.Env) func(context.Context, struct{}) (struct{}, error) {
	sealer := &audit.Sealer{
		Store:  dynamo.NewAudit(dynamo.NewTable(dynamodb.NewFromConfig(cfg), env.String("TABLE_NAME"))),
		Signer: signing.NewKey(kms.NewFromConfig(cfg), env.String("AUDIT_KEY_ARN")),
	}
	return func(ctx context.Context, _ struct{}) (struct{}, error) {
		return struct{}{}, sealer.Seal(ctx)
	}
}
