// Command route-not-found serves the requests that no route matches.
package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"

	apidoc "github.com/tenantry/tenantry/infra/api"
	"github.com/tenantry/tenantry/internal/api"
	"github.com/tenantry/tenantry/internal/boot"
)

func main() { boot.HTTP(wire) }

func wire(aws.Config, *boot.Env) api.Operation { return api.RouteNotFound(apidoc.Methods) }
