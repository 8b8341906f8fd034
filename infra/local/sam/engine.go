package sam

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
)

// noEngine is what the Makefile says too, before it builds anything.
//
//go:embed no-engine.txt
var noEngine string

// ErrNoEngine is the failure where there is nothing to run containers.
var ErrNoEngine = errors.New(strings.TrimSpace(noEngine))

// An Engine is a container engine that answers.
type Engine struct {
	// Host is the address of this machine on the containers' network. It is empty
	// where they reach 127.0.0.1 of this machine by the engine's own means, as with
	// Docker Desktop.
	Host string
}

// FindEngine returns the container engine of the environment, or ErrNoEngine.
func FindEngine(ctx context.Context) (Engine, error) {
	out, err := exec.CommandContext(ctx, "docker", "network", "inspect", "bridge", "--format", "{{range .IPAM.Config}}{{.Subnet}} {{end}}").Output()
	if err != nil {
		return Engine{}, ErrNoEngine
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return Engine{}, fmt.Errorf("find the address on the containers' network: %w", err)
	}
	host, err := hostIn(string(out), own)
	return Engine{Host: host}, err
}

// hostIn returns the one of own addresses that is in a subnet, or "".
func hostIn(subnets string, own []net.Addr) (string, error) {
	for subnet := range strings.FieldsSeq(subnets) {
		prefix, err := netip.ParsePrefix(subnet)
		if err != nil {
			return "", fmt.Errorf("the containers' network: %w", err)
		}
		for _, a := range own {
			if p, err := netip.ParsePrefix(a.String()); err == nil && prefix.Contains(p.Addr()) {
				return p.Addr().String(), nil
			}
		}
	}
	return "", nil
}
