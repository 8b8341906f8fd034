// Package metric makes log lines that are CloudWatch metrics too, in embedded
// metric format.
package metric

import (
	"context"
	"log/slog"
	"time"
)

// A Directive tells CloudWatch which members of a log line are metrics. It is the
// member _aws of the line.
type Directive struct {
	Timestamp         int64
	CloudWatchMetrics []Set
}

// A Set is metrics of one namespace. Each is counted once for each of the sets of
// dimensions, of which {} is over all.
type Set struct {
	Namespace  string
	Dimensions [][]string
	Metrics    []Metric
}

// A Metric is a member of the line, and the unit of its value.
type Metric struct {
	Name string
	Unit string
}

// NewDirective returns the directive of metrics at a time.
func NewDirective(namespace string, t time.Time, dimensions [][]string, metrics ...Metric) Directive {
	return Directive{t.UnixMilli(), []Set{{namespace, dimensions, metrics}}}
}

// A Figure is a count of something at a time.
type Figure struct {
	Name  string
	Value int64
}

// Log logs figures as one line.
func Log(ctx context.Context, namespace, message string, figures ...Figure) {
	var metrics []Metric
	var attrs []slog.Attr
	for _, f := range figures {
		metrics = append(metrics, Metric{f.Name, "Count"})
		attrs = append(attrs, slog.Int64(f.Name, f.Value))
	}
	attrs = append(attrs, slog.Any("_aws", NewDirective(namespace, time.Now(), [][]string{{}}, metrics...)))
	slog.LogAttrs(ctx, slog.LevelInfo, message, attrs...) //nolint:sloglint // one message for each caller
}
