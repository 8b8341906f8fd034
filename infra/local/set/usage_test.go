package set

import (
	"maps"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// event returns a usage event that happens now, with members changed.
func event(tenantID, id, kind string, quantity int, edits ...map[string]any) map[string]any {
	e := map[string]any{
		"specversion": "1.0", "source": "/test", "id": id, "type": kind, "subject": tenantID,
		"time": time.Now().UTC().Format(time.RFC3339), "data": map[string]any{"quantity": quantity}, "traceparent": "an extension",
	}
	for _, edit := range edits {
		maps.Copy(e, edit)
	}
	return e
}

// TestUsageEvents sends batches in which some events are right.
func TestUsageEvents(t *testing.T) {
	id, owner, edge := callers(t)
	other, _, _ := callers(t)
	owner.do("PATCH", "/tenants/"+id, map[string]any{"limits": map[string]any{"max_messages_month": 100, "max_contacts": 10}}).must(200)
	batch := []any{
		event(id, "m1", "message.sent", 79),
		event(id, "c1", "call.minutes", 4),
		event(id, "a1", "contact.added", 9),
		event(id, "r1", "contact.removed", 1),
		event(id, "x1", "page.viewed", 1),
		event(other, "x2", "message.sent", 1),
		event(id, "x3", "message.sent", 0, map[string]any{"time": "yesterday"}),
		"x4",
	}
	batch = append(batch, batch[0])
	first := edge.do("POST", "/usage-events", batch).must(200)
	results := []any{}
	for _, status := range []string{"accepted", "accepted", "accepted", "accepted"} {
		results = append(results, status)
	}
	results = append(results, "rejected", "rejected", "rejected", "rejected", "duplicate")
	if diff := cmp.Diff(results, statuses(first)); diff != "" {
		t.Errorf("the results (-want +got):\n%s\n%s", diff, first.Raw)
	}
	if first.Body["accepted"] != 4.0 || first.Body["duplicates"] != 1.0 || first.Body["rejected"] != 4.0 {
		t.Errorf("the sums: %s", first.Raw)
	}
	again := edge.do("POST", "/usage-events", batch[:4]).must(200)
	if again.Body["duplicates"] != 4.0 {
		t.Errorf("again: %s", again.Raw)
	}
	edge.do("POST", "/usage-events", []any{event(id, "m2", "message.sent", 1)}).must(200)
	edge.do("POST", "/usage-events", []any{event(id, "m3", "message.sent", 1)}).must(200)

	stats := owner.do("GET", "/tenants/"+id+"/stats", nil).must(200)
	if got := stats.Body["monthly_usage_cents"]; got != 81.0+4*3 {
		t.Errorf("the use costs %v", got)
	}
	messages := stats.Body["quota"].(map[string]any)["max_messages_month"].(map[string]any)
	contacts := stats.Body["quota"].(map[string]any)["max_contacts"].(map[string]any)
	if messages["used"] != 81.0 || messages["reached_percent"] != 80.0 || contacts["used"] != 8.0 || contacts["reached_percent"] != 80.0 {
		t.Errorf("the quotas: %v, %v", messages, contacts)
	}
	if got := owner.do("GET", "/tenants/"+id, nil).must(200).Body["monthly_usage_cents"]; got != 93.0 {
		t.Errorf("the tenant costs %v", got)
	}
	name := owner.do("GET", "/tenants/"+id, nil).must(200).text("name")
	eventually(t, "the list showed what the tenant uses", func() bool {
		for _, each := range owner.admin().do("GET", "/tenants/usage?limit=100&q="+url.QueryEscape(name), nil).must(200).List {
			if each["id"] == id {
				want := map[string]any{
					"month": time.Now().UTC().Format("2006-01"), "calls": 0.0, "call_minutes": 4.0, "messages": 81.0, "contacts": 8.0, "agents": 0.0, "cents": 93.0,
				}
				if diff := cmp.Diff(want, each["usage"]); diff != "" {
					t.Errorf("usage (-want +got):\n%s", diff)
				}
				return true
			}
		}
		return false
	})
	active := owner.admin().do("GET", "/tenants/usage?status_filter=active&offset=1&limit=1", nil).must(200)
	if len(active.List) != 1 || active.List[0]["status"] != "active" || active.List[0]["usage"] == nil {
		t.Errorf("the second active tenant is %s", active.Raw)
	}
	told := owner.do("GET", "/audit-events?action=limit.reached", nil).must(200).List
	if len(told) != 2 {
		t.Errorf("of limits is told %d times: %v", len(told), told)
	}
}

func statuses(a *answer) []any {
	all := []any{}
	results, _ := a.Body["results"].([]any)
	for _, result := range results {
		all = append(all, result.(map[string]any)["status"])
	}
	return all
}
