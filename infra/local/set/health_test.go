package set

import (
	"testing"
)

// TestSystemHealth looks at the report that the schedule makes, and at a new one.
func TestSystemHealth(t *testing.T) {
	c := newClient(t, common)
	admin := c.admin()
	for _, schedule := range []string{"SweeperEveryMinute", "HealthCheckEveryMinute"} {
		if _, err := common.Schedules().Fire(t.Context(), schedule); err != nil {
			t.Fatal(err)
		}
	}
	kinds := map[any]any{}
	report := admin.do("GET", "/system/health", nil).must(200)
	components, _ := report.Body["components"].([]any)
	for _, each := range components {
		component, _ := each.(map[string]any)
		kinds[component["kind"]] = component["status"]
	}
	for _, kind := range []string{"dynamodb", "cognito", "secretsmanager", "stepfunctions"} {
		if kinds[kind] != "up" && kinds[kind] != "degraded" { // on a machine that is busy
			t.Errorf("%s is %v: %s", kind, kinds[kind], report.Raw)
		}
	}
	if report.Body["status"] == "down" || report.Body["last_sweep_at"] == nil || report.Body["tenants"] == nil {
		t.Errorf("the report is %s", report.Raw)
	}
	key := admin.do("POST", "/api-keys", map[string]any{"name": "monitor", "scopes": []string{"health:read"}}).must(201).text("key")
	monitor := c.as(key)
	var fresh *answer
	eventually(t, "there was a new report", func() bool {
		fresh = monitor.do("GET", "/system/health?refresh=true", nil).must(200)
		return fresh.Body["checked_at"] != report.Body["checked_at"]
	})
	if again := monitor.do("GET", "/system/health?refresh=true", nil).must(200); again.Body["checked_at"] != fresh.Body["checked_at"] {
		t.Errorf("reports of %v and %v are less than ten seconds apart", fresh.Body["checked_at"], again.Body["checked_at"])
	}
	history := monitor.do("GET", "/system/health/history?limit=1", nil).must(200)
	if len(history.List) != 1 || history.List[0]["checked_at"] != fresh.Body["checked_at"] || history.Header.Get("Link") == "" {
		t.Errorf("the history begins with %s", history.Raw)
	}
	c.edge().do("GET", "/system/health", nil).problem(403, "forbidden")
}
