// Package stack is a small CloudFormation for one machine. It starts the local
// AWS endpoint, creates what the template declares there, hands the functions
// to the local Lambda runtime and the routes to the local gateway, and stops
// all of it again.
package stack

import (
	"context"
	"errors"
	"io"
)

// Options say what to start and where. The zero value of a port means any
// free one.
type Options struct {
	Template   string            // path of template.yaml
	Bin        string            // folder of the compiled functions
	Data       string            // folder for logs, mail and the engines' files; emptied of them first
	Engines    string            // folder in which the engines are installed
	Port       int               // of the API
	AWSPort    int               // of the AWS endpoint
	Parameters map[string]string // of the stack
	Strict     bool              // the AWS endpoint is as unkind as AWS
	Out        io.Writer         // progress, a line for each step; nil for none
}

// An Info tells clients where a running stack is. It is the content of
// stack.json.
type Info struct {
	StackName   string `json:"stack_name"`
	APIURL      string `json:"api_url"`
	AWSEndpoint string `json:"aws_endpoint"`
	Region      string `json:"region"`
	Table       string `json:"table"`
	UserPoolID  string `json:"user_pool_id"`
	ClientID    string `json:"client_id"`
	Admin       Admin  `json:"admin"`
}

// An Admin is the sign-in of the platform admin that each start makes anew.
type Admin struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// A Stack is a running set.
type Stack struct {
	info Info
}

// Start starts the whole set and returns when it answers. If it fails, it
// leaves nothing behind.
func Start(ctx context.Context, o Options) (*Stack, error) {
	return nil, errors.New("not yet")
}

// Info tells where the stack is.
func (s *Stack) Info() Info { return s.info }

// Close ends all that Start started. It may be called more than once.
func (s *Stack) Close() error { return nil }
