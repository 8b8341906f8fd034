// Package metric makes log lines that are CloudWatch metrics too, in embedded
// metric format.
package metric

import (
	"context"
	"log/slog"
	"time"
)

// A Figure is a count of something at a time.
type Figure struct {
	Name  string
	Value int64
}

// A directive tells CloudWatch which members of a log line are metrics. It is the
// member _aws of the line.
type directive struct {
	Timestamp         int64
	CloudWatchMetrics []set
}

// A set is metrics of one namespace. Each is counted once for each of the sets of
// dimensions, of which {} is over all.
type set struct {
	Namespace  string
	Dimensions [][]string
	Metrics    []metric
}

// A metric is a member of the line, and the unit of its value.
type metric struct {
	Name string
	Unit string
}

// Log logs figures as one line, which is their metrics in the CloudWatch namespace.
func Log(ctx context.Context, namespace, message string, figures ...Figure) {
	metrics := set{Namespace: namespace, Dimensions: [][]string{{}}}
	var attrs []slog.Attr
	for _, f := range figures {
		metrics.Metrics = append(metrics.Metrics, metric{f.Name, "Count"})
		attrs = append(attrs, slog.Int64(f.Name, f.Value))
	}
	attrs = append(attrs, slog.Any("_aws", directive{time.Now().UnixMilli(), []set{metrics}}))
	slog.LogAttrs(ctx, slog.LevelInfo, message, attrs...) //nolint:sloglint // one message for each caller
}
