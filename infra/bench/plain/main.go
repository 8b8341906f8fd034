// Command plain is tenant-get with the certificate authorities of the system, and
// without a connection when its first event comes.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tenantry/tenantry/internal/api"
	"github.com/tenantry/tenantry/internal/boot"
	"github.com/tenantry/tenantry/internal/dynamo"
)

func main() {
	slog.SetDefault(lambdacontext.NewLogger())
	endpoint := os.Getenv("AWS_ENDPOINT_URL")
	credentials := aws.Credentials{AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY")}
	table := dynamo.NewTable(dynamodb.NewFromConfig(aws.Config{
		Region:       os.Getenv("AWS_REGION"),
		BaseEndpoint: &endpoint,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return credentials, nil
		}),
		HTTPClient: awshttp.NewBuildableClient(),
		Retryer:    boot.Retryer,
	}), os.Getenv("TABLE_NAME"))
	op := api.GetTenant(dynamo.NewTenants(table)).Guarded(dynamo.NewImpersonations(table))
	lambda.Start(api.Serve(op))
}
