package set

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// homes makes a pooled and a dedicated tenant, which may have three agents each,
// and runs a test as the owner of each.
func homes(t *testing.T, f func(t *testing.T, owner *client, id string)) {
	t.Run("pooled", func(t *testing.T) {
		c := newClient(t, common)
		id, username, _, password := c.signUp()
		owner := c.signIn(username, password)
		owner.active(id)
		f(t, owner, id)
	})
	t.Run("dedicated", func(t *testing.T) {
		c := newClient(t, common)
		slug := unique("agents-")
		password := "a password of " + slug
		created := c.admin().do("POST", "/tenants", map[string]any{
			"name": "Agents", "slug": slug, "admin_email": slug + "@example.com", "admin_password": password,
		}).must(202)
		c.admin().active(created.text("id"))
		f(t, c.signIn(slug+"@example.com", password), created.text("id"))
	})
}

func TestAgents(t *testing.T) {
	homes(t, func(t *testing.T, owner *client, id string) {
		const prompt = "Be kind.\n\tBe brief."
		made := owner.do("POST", "/agents", map[string]any{
			"name": " Sales ", "system_prompt": prompt, "voice": "nova", "language": "EN-us", "meta_data": map[string]any{"team": 1},
		}).must(201)
		path := made.Header.Get("Location")
		want := map[string]any{
			"id": strings.TrimPrefix(path, "/agents/"), "tenant_id": id, "name": "Sales", "system_prompt": prompt, "voice": "nova", "language": "en-US",
			"meta_data": map[string]any{"team": 1.0}, "created_at": made.Body["created_at"], "updated_at": made.Body["created_at"],
		}
		if diff := cmp.Diff(want, made.Body); diff != "" {
			t.Errorf("the new agent (-want +got):\n%s", diff)
		}
		got := owner.do("GET", path, nil).must(200)
		if diff := cmp.Diff(want, got.Body); diff != "" {
			t.Errorf("GET (-want +got):\n%s", diff)
		}
		owner.with("If-None-Match", got.Header.Get("ETag")).do("GET", path, nil).must(304)

		updated := owner.with("If-Match", got.Header.Get("ETag")).do("PATCH", path, `{"voice":null,"meta_data":{}}`).must(200)
		owner.with("If-Match", got.Header.Get("ETag")).do("PATCH", path, `{"voice":"alloy"}`).problem(412, "stale")
		owner.do("PATCH", path, updated.Raw).must(200)
		owner.do("PATCH", path, `{"meta_data":{"card":"4111 1111 1111 1111"}}`).must(200)
		const pci = `{"pci_enabled":true,"data_encryption_enabled":true,"recording_enabled":false}`
		owner.do("PATCH", "/tenants/"+id, pci).problem(422, "invalid")
		owner.do("PATCH", path, `{"meta_data":{}}`).must(200)
		owner.do("PATCH", "/tenants/"+id, pci).must(200)
		owner.do("POST", "/agents", `{"name":"Support"}`).must(201)
		list := owner.do("GET", "/agents", nil).must(200)
		if len(list.List) != 2 || list.List[0]["name"] != "Support" || list.List[1]["voice"] != nil || list.List[1]["system_prompt"] != prompt {
			t.Errorf("the list is %s", list.Raw)
		}

		owner.with("If-Match", got.Header.Get("ETag")).do("DELETE", path, nil).problem(412, "stale")
		owner.do("DELETE", path, nil).must(204)
		owner.do("DELETE", path, nil).problem(404, "not-found")
		owner.do("GET", path, nil).problem(404, "not-found")
	})
}

// A platform admin acts on the agents of a tenant that is named; to a member of
// another they do not exist.
func TestAgentsOfOthers(t *testing.T) {
	homes(t, func(t *testing.T, owner *client, id string) {
		path := owner.do("POST", "/agents", `{"name":"Sales"}`).must(201).Header.Get("Location")
		admin := owner.as("").admin()
		admin.do("GET", path, nil).problem(422, "invalid")
		admin.do("GET", "/agents", nil).problem(422, "invalid")
		admin.do("POST", "/agents", `{"name":"Support"}`).problem(422, "invalid")
		admin.do("POST", "/agents", map[string]any{"name": "Support", "tenant_id": id}).must(201)
		admin.do("PATCH", path+"?tenant_id="+id, `{"name":"Sales Indonesia"}`).must(200)
		if list := admin.do("GET", "/agents?tenant_id="+id, nil).must(200); len(list.List) != 2 || list.List[1]["name"] != "Sales Indonesia" {
			t.Errorf("the list is %s", list.Raw)
		}

		c := newClient(t, common)
		theirs, username, _, password := c.signUp()
		stranger := c.signIn(username, password)
		stranger.active(theirs)
		for _, query := range []string{"", "?tenant_id=" + id, "?tenant_id=" + theirs} {
			stranger.do("GET", path+query, nil).problem(404, "not-found")
			stranger.do("PATCH", path+query, `{"name":"Mine"}`).problem(404, "not-found")
			stranger.do("DELETE", path+query, nil).problem(404, "not-found")
		}
		stranger.do("GET", "/agents?tenant_id="+id, nil).problem(404, "not-found")
		stranger.do("POST", "/agents", map[string]any{"name": "Mine", "tenant_id": id}).problem(404, "not-found")
		if list := stranger.do("GET", "/agents", nil).must(200); len(list.List) != 0 {
			t.Errorf("a stranger sees %s", list.Raw)
		}

		admin.do("PATCH", "/tenants/"+id, `{"status":"suspended","status_reason":"unpaid"}`).must(200)
		owner.do("GET", path, nil).must(200)
		owner.do("PATCH", path, `{"name":"Late"}`).problem(403, "tenant-suspended")
		owner.do("POST", "/agents", `{"name":"Late"}`).problem(403, "tenant-suspended")
		admin.do("DELETE", path+"?tenant_id="+id, nil).must(204)
	})
}

// Of fifty at once a limit of three allows three, and a key one.
func TestAgentLimit(t *testing.T) {
	homes(t, func(t *testing.T, owner *client, id string) {
		owner.as("").admin().do("PATCH", "/tenants/"+id, `{"limits":{"max_agents":3}}`).must(200)
		keyed := owner.with("Idempotency-Key", "first")
		answers := make([]*answer, crowd)
		together(crowd, func(i int) { answers[i] = keyed.do("POST", "/agents", `{"name":"First"}`) })
		for _, a := range answers {
			if a.must(201).Raw != answers[0].Raw {
				t.Fatalf("one key gave %s and %s", answers[0].Raw, a.Raw)
			}
		}
		together(crowd, func(i int) { answers[i] = owner.do("POST", "/agents", map[string]any{"name": fmt.Sprint("agent ", i)}) })
		made := slices.DeleteFunc(slices.Clone(answers), func(a *answer) bool { return a.Status == 429 })
		if len(made) != 2 {
			t.Errorf("%d were made beside the first, want 2", len(made))
		}
		refused := owner.do("POST", "/agents", `{"name":"One too many"}`).problem(429, "quota-exceeded")
		if refused.Body["quota"] != "max_agents" || refused.Body["limit"] != 3.0 || refused.Body["used"] != 3.0 {
			t.Errorf("the refusal is %s", refused.Raw)
		}
		if list := owner.do("GET", "/agents?limit=50", nil).must(200); len(list.List) != 3 {
			t.Errorf("there are %s", list.Raw)
		}

		path := "/agents/" + made[0].must(201).text("id")
		together(crowd, func(i int) { answers[i] = owner.do("DELETE", path, nil) })
		gone := slices.DeleteFunc(slices.Clone(answers), func(a *answer) bool { return a.Status == 404 })
		if len(gone) != 1 || gone[0].Status != 204 {
			t.Errorf("it was deleted %d times", len(gone))
		}
		owner.do("POST", "/agents", `{"name":"In its place"}`).must(201)
		owner.do("POST", "/agents", `{"name":"One too many"}`).problem(429, "quota-exceeded")
	})
}

// What is done to agents is told, and what is told holds neither the prompt nor
// meta_data.
func TestAgentsAreAudited(t *testing.T) {
	homes(t, func(t *testing.T, owner *client, id string) {
		path := owner.do("POST", "/agents", `{"name":"Sales","system_prompt":"the prompt of the house","meta_data":{"a":"the data of the house"}}`).must(201).Header.Get("Location")
		owner.do("PATCH", path, `{"system_prompt":"another prompt of the house"}`).must(200)
		owner.do("DELETE", path, nil).must(204)
		var told string
		for line := range strings.Lines(tableText(t, common, common.Info().Table)) {
			if strings.Contains(line, "pk=AUDIT#"+id) {
				told += line
			}
		}
		for _, action := range []string{"agent.created", "agent.updated", "agent.deleted"} {
			if strings.Count(told, "action="+action) != 1 {
				t.Errorf("the audit does not tell once of %s:\n%s", action, told)
			}
		}
		if strings.Contains(told, "of the house") {
			t.Errorf("the audit tells too much:\n%s", told)
		}
	})
}
