package probe

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"

	"github.com/go-json-experiment/json"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/tenantry/tenantry/internal/health"
)

// A statusError is a status of HTTP that is no good.
type statusError int

func (s statusError) Error() string { return fmt.Sprintf("it answers with the status %d", int(s)) }

const maxAnswer = 16 << 10 // bytes that are looked at for a version

// looksLikeVersion is what is shown as one.
var looksLikeVersion = regexp.MustCompile(`^v?[0-9]+(\.[0-9A-Za-z-]+){0,5}$`)

// service asks a service for its address. It is up if it answers with a status
// below 400. Redirects are answers, and not followed.
func service(ctx context.Context, t health.Target, c health.Credentials) (health.Finding, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.Address, http.NoBody)
	if err != nil {
		return health.Finding{}, err
	}
	if !c.Nobody() {
		request.SetBasicAuth(c.Username, c.Password)
	}
	transport := &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(request)
	if err != nil {
		return health.Finding{}, err
	}
	defer answer.Body.Close() //nolint:errcheck // it is only read
	switch {
	case !c.Nobody() && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden):
		return health.Finding{}, errPassword
	case answer.StatusCode >= http.StatusBadRequest:
		return health.Finding{}, statusError(answer.StatusCode)
	}
	var body struct {
		Version string `json:"version"`
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return health.Finding{}, err
	}
	if json.Unmarshal(text, &body) != nil || !looksLikeVersion.MatchString(body.Version) {
		body.Version = ""
	}
	return health.Finding{Version: body.Version}, nil
}

// objectStore lists the buckets of a store that speaks the protocol of S3.
func objectStore(ctx context.Context, t health.Target, c health.Credentials) (health.Finding, error) {
	address, err := url.Parse(t.Address)
	if err != nil {
		return health.Finding{}, err
	}
	client, err := minio.New(address.Host, &minio.Options{
		Creds: credentials.NewStaticV4(c.Username, c.Password, ""), Secure: address.Scheme == "https", MaxRetries: 1,
	})
	if err != nil {
		return health.Finding{}, err
	}
	_, err = client.ListBuckets(ctx)
	switch minio.ToErrorResponse(err).Code {
	case "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch":
		return health.Finding{}, errPassword
	}
	return health.Finding{}, err
}
