package api

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// observe logs one line for each request. It is an error where the failure is ours.
func (s *Server) observe(ctx context.Context, start time.Time, r *Request, resp *Response, err error) {
	level := slog.LevelInfo
	if resp.Status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	attrs := []slog.Attr{
		slog.String("operation", s.op.Name),
		slog.Int64("ms", time.Since(start).Milliseconds()),
		slog.Int("status", resp.Status),
	}
	if !r.Caller.Anonymous() {
		attrs = append(attrs, slog.String("caller", string(r.Caller.Subject)))
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", logged(err, level)))
	}
	slog.LogAttrs(ctx, level, "request", attrs...)
}

// maxRefusal is how much of a refusal is logged, in bytes: the client has the rest.
const maxRefusal = 80

// logged is what the line tells of an error: all of a failure of ours.
func logged(err error, level slog.Level) string {
	text := err.Error()
	if level == slog.LevelError || len(text) <= maxRefusal {
		return text
	}
	return strings.ToValidUTF8(text[:maxRefusal], "") + "…"
}
