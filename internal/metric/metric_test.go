package metric

import (
	"bytes"
	"log/slog"
	"regexp"
	"testing"
)

// TestLog holds the line against the embedded metric format.
func TestLog(t *testing.T) {
	var out bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&out, nil)))
	defer slog.SetDefault(before)
	Log(t.Context(), "Tenantry/test", "health", Figure{"HealthStatus", 2}, Figure{"Down", 0})
	got := regexp.MustCompile(`"Timestamp":\d{13},`).ReplaceAllString(out.String(), `"Timestamp":T,`)
	const want = `"msg":"health","HealthStatus":2,"Down":0,"_aws":{"Timestamp":T,"CloudWatchMetrics":[{"Namespace":"Tenantry/test","Dimensions":[[]],` +
		`"Metrics":[{"Name":"HealthStatus","Unit":"Count"},{"Name":"Down","Unit":"Count"}]}]}}` + "\n"
	if _, rest, _ := bytes.Cut([]byte(got), []byte(`"level":"INFO",`)); string(rest) != want {
		t.Errorf("got %s\nwant %s", rest, want)
	}
}
