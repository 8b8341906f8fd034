// Command probe is a function for tests: its event says what it does.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Do    string `json:"do"`
	Text  string `json:"text"`
	Size  int    `json:"size"`
	Milli int    `json:"milli"`
}

type answer struct {
	Text      string `json:"text"`
	PID       int    `json:"pid"`
	RequestID string `json:"request_id"`
	ARN       string `json:"arn"`
	Remaining int64  `json:"remaining"`
}

func main() {
	switch os.Getenv("START") {
	case "exit":
		fmt.Fprintln(os.Stderr, "environment lacks TABLE_NAME")
		os.Exit(1)
	case "hang":
		time.Sleep(time.Hour)
	}
	lambda.StartHandlerFunc(handle)
}

func handle(ctx context.Context, e event) (answer, error) {
	lc, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	a := answer{e.Text, os.Getpid(), lc.AwsRequestID, lc.InvokedFunctionArn, time.Until(deadline).Milliseconds()}
	switch e.Do {
	case "print":
		fmt.Println(e.Text)
	case "environment":
		env := os.Environ()
		slices.Sort(env)
		a.Text = strings.Join(env, "\n")
	case "sleep":
		time.Sleep(time.Duration(e.Milli) * time.Millisecond)
	case "wait": // until the file is there
		for _, err := os.Stat(e.Text); err != nil; _, err = os.Stat(e.Text) {
			time.Sleep(time.Millisecond)
		}
	case "touch":
		if err := os.WriteFile(e.Text, []byte("here"), 0o600); err != nil {
			return a, err
		}
		time.Sleep(time.Hour)
	case "count": // and fail
		f, err := os.OpenFile(e.Text, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return a, err
		}
		defer f.Close()
		fmt.Fprintln(f, lc.AwsRequestID)
		return a, errors.New("counted")
	case "error":
		return a, errors.New(e.Text)
	case "panic":
		panic(e.Text)
	case "exit":
		os.Exit(3)
	case "big":
		a.Text = strings.Repeat("x", e.Size)
	}
	return a, nil
}
