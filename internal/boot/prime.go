package boot

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/tenantry/tenantry/internal/endpoint"
)

// primeTimeout is how long a start waits for DynamoDB. A first event may then have
// to open the connection itself.
const primeTimeout = 500 * time.Millisecond

// prime asks DynamoDB for nothing, so that the connection is there when the first
// event comes: before it a function has the whole of a processor, and after it
// only the share that goes with its memory. It is no harm if that fails.
func prime(cfg aws.Config) {
	address := endpoint.Of(cfg, "dynamodb")
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
