package invoke

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/tenantry/tenantry/internal/endpoint"
)

// A Lambda makes the one request of Lambda's API that calls a function. The SDK's
// client of Lambda has all of them, which makes whoever links it larger by half a
// megabyte, and its start longer.
type Lambda struct {
	cfg    aws.Config
	signer *v4.Signer
}

// NewLambda returns Lambda as cfg reaches it.
func NewLambda(cfg aws.Config) *Lambda { return &Lambda{cfg, v4.NewSigner()} }

// Invoke calls a function by its ARN and waits for what it answers. What passes, as
// far as the configuration's retryer says, is tried again: so a function may be called
// more than once.
func (c *Lambda) Invoke(ctx context.Context, arn string, payload []byte) ([]byte, error) {
	retryer := c.cfg.Retryer()
	for attempt := 1; ; attempt++ {
		answer, err := c.try(ctx, arn, payload)
		if err == nil || attempt >= retryer.MaxAttempts() || !retryer.IsErrorRetryable(err) {
			return answer, err
		}
		delay, err2 := retryer.RetryDelay(attempt, err)
		if err2 != nil {
			return nil, errors.Join(err, err2)
		}
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return nil, errors.Join(err, ctx.Err())
		}
	}
}

func (c *Lambda) try(ctx context.Context, arn string, payload []byte) ([]byte, error) {
	address, err := c.address(arn)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), bytes.NewReader(payload))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	credentials, err := c.cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(payload)
	if err := c.signer.SignHTTP(ctx, credentials, req, hex.EncodeToString(sum[:]), "lambda", c.cfg.Region, time.Now()); err != nil {
		return nil, err
	}
	resp, err := c.cfg.HTTPClient.Do(req)
	if err != nil {
		return nil, &smithyhttp.RequestSendError{Err: err}
	}
	defer resp.Body.Close() //nolint:errcheck // it is only read
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, &smithyhttp.RequestSendError{Err: err}
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		code, _, _ := strings.Cut(resp.Header.Get("X-Amzn-Errortype"), ":")
		return nil, &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: resp}, Err: &smithy.GenericAPIError{Code: code, Message: string(answer)}}
	}
	if failure := resp.Header.Get("X-Amz-Function-Error"); failure != "" {
		return nil, fmt.Errorf("it failed: %s", failure)
	}
	return answer, nil
}

// address returns where a function is called.
func (c *Lambda) address(arn string) (*url.URL, error) {
	address, err := url.Parse(endpoint.Of(c.cfg, "lambda"))
	if err != nil {
		return nil, err
	}
	address.Path = "/2015-03-31/functions/" + arn + "/invocations"
	address.RawPath = "/2015-03-31/functions/" + strings.ReplaceAll(url.PathEscape(arn), ":", "%3A") + "/invocations"
	return address, nil
}
