// Command health-probe probes what the operator lists, for health-check.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tenantry/tenantry/internal/boot"
	"github.com/tenantry/tenantry/internal/health"
	"github.com/tenantry/tenantry/internal/probe"
	"github.com/tenantry/tenantry/internal/secret"
)

func main() { boot.Event(wire) }

func wire(cfg aws.Config, env *boot.Env) func(context.Context, struct{}) ([]health.Component, error) {
	targets, err := health.ParseTargets(env.Optional("HEALTH_TARGETS"))
	env.Check(err)
	vault := secret.NewTargets(secretsmanager.NewFromConfig(cfg))
	var probes []health.Probe
	for _, t := range targets {
		probes = append(probes, probe.New(t, vault))
	}
	return func(ctx context.Context, _ struct{}) ([]health.Component, error) {
		return health.Run(ctx, probes), nil
	}
}
