package boot

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// primeTimeout is how long a start waits for DynamoDB. A first event may then have
// to open the connection itself.
const primeTimeout = 500 * time.Millisecond

// suffixes are the domains of regions that are not in amazonaws.com, by how the
// names of the regions begin.
var suffixes = map[string]string{"cn-": "amazonaws.com.cn", "eusc-": "amazonaws.eu"}

// prime asks DynamoDB for nothing, so that the connection is there when the first
// event comes: before it a function has the whole of a processor, and after it
// only the share that goes with its memory. It is no harm if that fails.
func prime(cfg aws.Config) {
	address := dynamoDB(cfg)
	if !strings.HasPrefix(address, "https:") {
		return // a connection without TLS costs nothing to open
	}
	ctx, cancel := context.WithTimeout(context.Background(), primeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return
	}
	resp, err := cfg.HTTPClient.Do(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()               //nolint:errcheck // it was only read
	_, _ = io.Copy(io.Discard, resp.Body) // only then can others have the connection
}

// dynamoDB returns where the clients of DynamoDB that are made of cfg go to.
func dynamoDB(cfg aws.Config) string {
	if cfg.BaseEndpoint != nil {
		return *cfg.BaseEndpoint
	}
	suffix := "amazonaws.com"
	for prefix, other := range suffixes {
		if strings.HasPrefix(cfg.Region, prefix) {
			suffix = other
		}
	}
	return "https://dynamodb." + cfg.Region + "." + suffix
}
