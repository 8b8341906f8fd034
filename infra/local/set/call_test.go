package set

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
)

// expireLease makes the lease of a call one that was over a minute ago.
func expireLease(t *testing.T, tenantID, callID string) {
	t.Helper()
	ago := time.Now().UTC().Add(-time.Minute).Format("2006-01-02T15:04:05.000Z")
	for attribute, value := range map[string]string{"lease_until": ago, "due_at": ago, "of_tenant_sort": ago + "#" + callID} {
		updateItem(t, common, "TENANT#"+tenantID, "CALL#"+callID, attribute, value)
	}
}

// caller makes a tenant, and returns its id, its owner and an edge of its own.
func callers(t *testing.T) (id string, owner, edge *client) {
	t.Helper()
	c := newClient(t, common)
	id, username, _, password := c.signUp()
	owner = c.signIn(username, password)
	owner.active(id)
	return id, owner, c.edge(id)
}

// TestCalls takes slots, and gives them back in every way.
func TestCalls(t *testing.T) {
	id, owner, edge := callers(t)
	path := "/tenants/" + id + "/calls"
	agent := owner.do("POST", "/agents", map[string]any{"name": "Sales"}).must(201).text("id")
	owner.do("PATCH", "/tenants/"+id, map[string]any{"max_concurrent_calls": 2, "monthly_call_limit": 5}).must(200)

	first := edge.do("POST", path, map[string]any{"call_id": "a@1", "agent_id": agent}).must(201)
	if got := first.Header.Get("Location"); got != path+"/a@1" {
		t.Errorf("the call is at %s", got)
	}
	if again := edge.do("POST", path, map[string]any{"call_id": "a@1", "lease_seconds": 300}).must(200); again.Raw != first.Raw {
		t.Errorf("the call is %s, and again %s", first.Raw, again.Raw)
	}
	edge.do("POST", path, map[string]any{"call_id": "b"}).must(201)
	full := edge.do("POST", path, map[string]any{"call_id": "c"}).problem(429, "quota-exceeded")
	if full.Body["quota"] != "max_concurrent_calls" || full.Body["limit"] != 2.0 || full.Body["used"] != 2.0 || full.Header.Get("Retry-After") == "" {
		t.Errorf("without room: %s %v", full.Raw, full.Header)
	}
	edge.do("POST", path, map[string]any{"call_id": "a@1"}).must(200)
	owner.do("PATCH", "/tenants/"+id, map[string]any{"status": "inactive"}).must(200)
	edge.do("POST", path, map[string]any{"call_id": "a@1"}).must(200) // which has its lease
	edge.do("POST", path, map[string]any{"call_id": "c"}).problem(403, "tenant-inactive")
	edge.do("POST", path, map[string]any{"call_id": "a@1", "agent_id": 1}).problem(403, "tenant-inactive")
	owner.do("PATCH", "/tenants/"+id, map[string]any{"status": "active"}).must(200)

	renewed := edge.do("PATCH", path+"/b", map[string]any{"lease_seconds": 300}).must(200)
	if renewed.Body["lease_seconds"] != 300.0 {
		t.Errorf("renewed: %s", renewed.Raw)
	}
	edge.do("PATCH", path+"/nobody", nil).problem(404, "not-found")

	eventually(t, "both calls were listed, newest first", func() bool {
		list := owner.do("GET", path, nil).must(200).List
		return len(list) == 2 && list[0]["call_id"] == "b" && list[1]["call_id"] == "a@1" && list[1]["agent_id"] == agent
	})

	expireLease(t, id, "a@1")
	edge.do("PATCH", path+"/a@1", nil).problem(409, "call-ended")
	eventually(t, "the slot came back", func() bool {
		return edge.do("POST", path, map[string]any{"call_id": "c"}).Status == 201
	})
	edge.do("POST", path, map[string]any{"call_id": "a@1"}).problem(409, "call-ended")
	edge.do("POST", path+"/a@1/end", map[string]any{"duration_seconds": 30}).must(204)
	edge.do("POST", path+"/a@1/end", map[string]any{"duration_seconds": 1000}).must(204)
	edge.do("POST", path+"/b/end", map[string]any{"duration_seconds": 60, "sentiment_score": -0.25}).must(204)
	edge.do("POST", path+"/nobody/end", map[string]any{"duration_seconds": 1000}).must(204)
	edge.do("POST", path, map[string]any{"call_id": "nobody"}).problem(409, "call-ended")
	edge.do("POST", path+"/nobody/end", nil).must(204)

	stats := owner.do("GET", "/tenants/"+id+"/stats", nil).must(200)
	delete(stats.Body, "last_call_at")
	resets := stats.Body["quota"].(map[string]any)["monthly_call_limit"].(map[string]any)["resets_at"]
	quota := func(limit, used, reached int, resets any) map[string]any {
		return map[string]any{
			"limit": float64(limit), "used": float64(used), "remaining": float64(limit - used), "resets_at": resets, "reached_percent": float64(reached),
		}
	}
	want := map[string]any{
		"tenant_id": id, "total_agents": 1.0, "total_calls_today": 3.0, "total_calls_month": 3.0, "avg_call_duration": 45.0, "avg_sentiment_score": -0.25,
		"active_sessions": 1.0, "monthly_usage_cents": 0.0, "peak_calls": map[string]any{"hour": 2.0, "day": 2.0, "month": 2.0},
		"quota": map[string]any{
			"max_agents": quota(3, 1, 0, nil), "max_concurrent_calls": quota(2, 1, 0, nil), "max_contacts": quota(1000, 0, 0, nil),
			"max_messages_month": quota(5000, 0, 0, resets), "monthly_call_limit": quota(5, 3, 0, resets),
		},
	}
	if diff := cmp.Diff(want, stats.Body); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}

	for _, call := range []string{"d", "e"} {
		edge.do("POST", path, map[string]any{"call_id": call}).must(201)
		edge.do("POST", path+"/"+call+"/end", nil).must(204)
	}
	if full := edge.do("POST", path, map[string]any{"call_id": "f"}).problem(429, "quota-exceeded"); full.Body["quota"] != "monthly_call_limit" || full.Body["resets_at"] != resets {
		t.Errorf("without a call left in the month: %s", full.Raw)
	}
	told := owner.do("GET", "/audit-events?action=limit.reached", nil).must(200).List
	if len(told) != 2 {
		t.Errorf("of the limit of the month is told %d times: %v", len(told), told)
	}
}

// stateOf returns the state of a call as it is stored.
func stateOf(t *testing.T, tenantID, callID string) string {
	t.Helper()
	out, err := dynamodb.NewFromConfig(awsConfig(common)).GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: new(common.Info().Table),
		Key: map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: "TENANT#" + tenantID}, "sk": &types.AttributeValueMemberS{Value: "CALL#" + callID},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	state, ok := out.Item["state"].(*types.AttributeValueMemberS)
	if !ok {
		t.Fatalf("there is no call %s", callID)
	}
	return state.Value
}

// TestCallsSwept has a dead edge's call not counted as live, and the sweeper give its
// slot back, which nobody asks for.
func TestCallsSwept(t *testing.T) {
	id, owner, edge := callers(t)
	edge.do("POST", "/tenants/"+id+"/calls", map[string]any{"call_id": "dead"}).must(201)
	expireLease(t, id, "dead")
	eventually(t, "the dead call was not counted", func() bool {
		return owner.do("GET", "/tenants/"+id+"/stats", nil).must(200).Body["active_sessions"] == 0.0
	})
	swept(t, common, func() bool { return stateOf(t, id, "dead") == "expired" })
	edge.do("POST", "/tenants/"+id+"/calls/dead/end", map[string]any{"duration_seconds": 7}).must(204)
	if got := owner.do("GET", "/tenants/"+id+"/stats", nil).must(200).Body["avg_call_duration"]; got != 7.0 {
		t.Errorf("the late end counts as %v", got)
	}
}

// TestCallsCrowd has 64 edges take and end calls of one tenant: not more go on than
// may, and in the end none.
func TestCallsCrowd(t *testing.T) {
	const edges, rounds = 64, 6
	id, owner, edge := callers(t)
	path := "/tenants/" + id + "/calls"
	const limit = 10
	var held, taken atomic.Int64
	together(edges, func(i int) {
		if edge.do("POST", path, map[string]any{"call_id": fmt.Sprint(i), "lease_seconds": 300}).Status == 201 {
			held.Add(1)
		}
	})
	if held.Load() > limit {
		t.Errorf("%d calls go on at once, of %d", held.Load(), limit)
	}
	taken.Store(held.Load())
	together(edges, func(i int) { edge.do("POST", path+"/"+fmt.Sprint(i)+"/end", nil).must(204) })
	together(edges, func(i int) {
		for round := range rounds {
			call := fmt.Sprintf("%d-%d", i, round)
			a := edge.do("POST", path, map[string]any{"call_id": call})
			if a.Status == 429 {
				continue
			}
			a.must(201)
			taken.Add(1)
			edge.do("POST", path+"/"+call+"/end", map[string]any{"duration_seconds": 1}).must(204)
		}
	})
	stats := owner.do("GET", "/tenants/"+id+"/stats", nil).must(200)
	if stats.Body["active_sessions"] != 0.0 || stats.Body["total_calls_month"] != float64(taken.Load()) {
		t.Errorf("after %d calls: %s", taken.Load(), stats.Raw)
	}
	if peak := stats.Body["peak_calls"].(map[string]any)["hour"].(float64); peak < 1 || peak > float64(limit) {
		t.Errorf("the peak was %v, of %d", peak, limit)
	}
}
