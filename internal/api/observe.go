package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"
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
		slog.Any("_aws", newDirective(s.namespace, start)),
		slog.String("Operation", s.op.Name),
		slog.Int64("Latency", time.Since(start).Milliseconds()),
		slog.Int("Faults", faults),
		slog.Int("status", resp.Status),
	}
	if !r.Caller.Anonymous() {
		attrs = append(attrs, slog.String("caller", string(r.Caller.Subject)))
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	slog.LogAttrs(ctx, level, "request", attrs...)
}

// A directive tells CloudWatch which members of a log line are metrics.
type directive struct {
	Timestamp         int64
	CloudWatchMetrics []metricSet
}

type metricSet struct {
	Namespace  string
	Dimensions [][]string
	Metrics    []metric
}

type metric struct {
	Name string
	Unit string
}

// newDirective counts each metric twice: for its operation, and over all.
func newDirective(namespace string, t time.Time) directive {
	return directive{t.UnixMilli(), []metricSet{{
		Namespace:  namespace,
		Dimensions: [][]string{{"Operation"}, {}},
		Metrics:    []metric{{"Latency", "Milliseconds"}, {"Faults", "Count"}},
	}}}
}
