// Command path does all that an operation of the API does, but for the storage.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/tenantry/tenantry/internal/api"
	"github.com/tenantry/tenantry/internal/boot"
	"github.com/tenantry/tenantry/internal/identity"
)

func main() { boot.HTTP(wire) }

func wire(aws.Config, *boot.Env) api.Operation {
	return api.Operation{
		Name:  "Hello",
		Allow: identity.Members(),
		Handle: func(context.Context, *api.Request) (*api.Response, error) {
			return api.OK(map[string]string{"message": "hello"}), nil
		},
	}
}
