// Command docs serves GET /openapi.json, /docs and /docs/{path+}.
package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/tenantry/tenantry/internal/api"
	"github.com/tenantry/tenantry/internal/boot"
	"github.com/tenantry/tenantry/internal/docs"
)

func main() { boot.HTTP(wire) }

func wire(aws.Config, *boot.Env) api.Operation { return docs.GetDocs(docs.NewSite()) }
