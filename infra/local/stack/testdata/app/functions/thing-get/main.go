// Command thing-get answers every event with its greeting, and Cognito's with
// the event itself, as a trigger must.
package main

import (
	"context"
	"encoding/json"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	lambda.Start(func(_ context.Context, event map[string]any) (any, error) {
		if event["triggerSource"] != nil {
			return event, nil
		}
		said, err := json.Marshal(os.Getenv("GREETING") + " " + os.Getenv("AUTO_CONFIRM"))
		return map[string]any{"statusCode": 200, "body": string(said)}, err
	})
}
