package endpoint

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// TestOf is held against where the SDK's clients go.
func TestOf(t *testing.T) {
	local := "http://127.0.0.1:4566"
	for _, region := range []string{"us-east-1", "eu-central-1", "us-gov-west-1", "cn-north-1", "eusc-de-east-1"} {
		table, err := dynamodb.NewDefaultEndpointResolverV2().ResolveEndpoint(t.Context(), dynamodb.EndpointParameters{Region: &region})
		if err != nil {
			t.Fatal(err)
		}
		function, err := lambda.NewDefaultEndpointResolverV2().ResolveEndpoint(t.Context(), lambda.EndpointParameters{Region: &region})
		if err != nil {
			t.Fatal(err)
		}
		for service, want := range map[string]string{"dynamodb": table.URI.String(), "lambda": function.URI.String()} {
			if got := Of(aws.Config{Region: region}, service); got != want {
				t.Errorf("got %s for %s, want %s", got, region, want)
			}
			if got := Of(aws.Config{Region: region, BaseEndpoint: &local}, service); got != local {
				t.Errorf("got %s, want %s", got, local)
			}
		}
	}
}
