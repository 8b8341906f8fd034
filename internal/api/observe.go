package api

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/tenantry/tenantry/internal/metric"
)

// The metrics of a request.
var (
	latency    = metric.Metric{Name: "Latency", Unit: "Milliseconds"}
	faultCount = metric.Metric{Name: "Faults", Unit: "Count"}
)

// observe logs one line for each request. The line is also two CloudWatch
// metrics, in embedded metric format: the latency, and a count of the failures
// that are ours.
func (s *Server) observe(ctx context.Context, start time.Time, r *Request, resp *Response, err error) {
	level, faults := slog.LevelInfo, 0
	if resp.Status >= http.StatusInternalServerError {
		level, faults = slog.LevelError, 1
	}
	attrs := []slog.Attr{
		slog.Any("_aws", metric.NewDirective(s.namespace, start, [][]string{{"Operation"}, {}}, latency, faultCount)), // for its operation, and over all
		slog.String("Operation", s.op.Name),
		slog.Int64("Latency", time.Since(start).Milliseconds()),
		slog.Int("Faults", faults),
		slog.Int("status", resp.Status),
	}
	if !r.Caller.Anonymous() {
		attrs = append(attrs, slog.String("caller", string(r.Caller.Subject)))
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", logged(err, faults)))
	}
	slog.LogAttrs(ctx, level, "request", attrs...)
}

// maxRefusal is how much of a refusal is logged, in bytes: the client has the rest.
const maxRefusal = 80

// logged is what the line tells of an error: all of a failure of ours.
func logged(err error, faults int) string {
	text := err.Error()
	if faults > 0 || len(text) <= maxRefusal {
		return text
	}
	return strings.ToValidUTF8(text[:maxRefusal], "") + "…"
}
