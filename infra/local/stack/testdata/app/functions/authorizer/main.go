// Command authorizer lets everyone in who knows the name of the table.
package main

import (
	"context"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	lambda.Start(func(_ context.Context, event struct {
		Headers map[string]string `json:"headers"`
	},
	) (any, error) {
		return map[string]any{"isAuthorized": event.Headers["authorization"] == os.Getenv("TABLE_NAME")}, nil
	})
}
