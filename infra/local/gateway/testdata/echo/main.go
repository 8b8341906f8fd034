// Command echo is a function for tests: it answers with what aws-lambda-go made
// of the event.
package main

import (
	"context"
	"encoding/json"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

func main() { lambda.StartHandlerFunc(handle) }

func handle(_ context.Context, e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	body, err := json.Marshal(e)
	return events.APIGatewayV2HTTPResponse{
		StatusCode: 201,
		Headers:    map[string]string{"content-type": "application/json"},
		Cookies:    []string{"a=1", "b=2"},
		Body:       string(body),
	}, err
}
