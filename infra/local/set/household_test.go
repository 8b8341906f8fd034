package set

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tenantry/tenantry/infra/local/contract"
)

// A household is a tenant, with a member of each role, and one of everything that
// a request can name.
type household struct {
	id      string
	word    string // in every name and text of its own
	members map[string]*client
	things  map[string]string // their ids, or by what else they are named
}

// household makes one. Admin is a platform admin's client.
func (c *client) household(admin *client) *household {
	c.t.Helper()
	word := unique("household-") + "-of-its-own"
	id, username, email, password := c.signUp()
	owner := c.signIn(username, password)
	h := &household{id: id, word: word, members: map[string]*client{"owner": owner}}
	slug := owner.active(id).text("slug")
	domain := username + ".sip.example.com"
	owner.do("PATCH", "/tenants/"+id, map[string]any{
		"name": "The " + word, "meta_data": map[string]any{"note": word},
		"sip_enabled": true, "sip_domain": domain, "sip_username": username, "sip_password": "a password of " + word,
	}).must(200)
	h.things = map[string]string{
		"tenant": id, "owner": id, "slug": slug, "username": username, "email": email, "SIP domain": domain,
		"agent": owner.do("POST", "/agents", map[string]any{"name": "Agent of " + word}).must(201).text("id"),
	}
	for _, role := range []string{"admin", "supervisor", "agent"} {
		address := unique(role) + "@example.com"
		h.things["user"] = owner.invite(address, role+" of "+word, role)
		h.members[role] = c.accept(address, "a password of mine")
	}
	eventually(c.t, "the operation of "+word+" was listed", func() bool {
		list := owner.do("GET", "/tenants/"+id+"/operations", nil).must(200).List
		if len(list) > 0 {
			h.things["operation"] = fmt.Sprint(list[0]["id"])
		}
		return len(list) > 0
	})
	h.things["key"] = admin.do("POST", "/api-keys", map[string]any{"name": "Key of " + word, "scopes": []string{"sip:read"}, "tenant_ids": []string{id}}).must(201).text("id")
	h.things["call"] = unique("call-of-" + word)
	c.edge(id).do("POST", "/tenants/"+id+"/calls", map[string]any{"call_id": h.things["call"], "lease_seconds": 300}).must(201)
	h.things["impersonation"] = admin.do("POST", "/impersonations", map[string]any{"user_id": id, "reason": "Because of " + word}).must(201).text("id")
	return h
}

// state returns everything that is kept of a household, one item a line, but for
// the audit, of which it says how many records there are: they are sealed by and
// by.
func (h *household) state(t *testing.T) []string {
	t.Helper()
	var lines []string
	audited := 0
	table := common.Info().Table
	pages := dynamodb.NewScanPaginator(dynamodb.NewFromConfig(awsConfig(common)), &dynamodb.ScanInput{TableName: &table, ConsistentRead: new(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var items []map[string]any
		if err := attributevalue.UnmarshalListOfMaps(page.Items, &items); err != nil {
			t.Fatal(err)
		}
		for _, item := range items {
			text, err := json.Marshal(item)
			if err != nil {
				t.Fatal(err)
			}
			switch line := string(text); {
			case !strings.Contains(line, h.id) && !strings.Contains(line, h.word):
			case item["sk"] == "HEAD": // of the chain of the audit
			case strings.HasPrefix(fmt.Sprint(item["sk"]), "CALL#") && !strings.Contains(fmt.Sprint(item["pk"]), h.id): // another's call, of the same name
			case strings.HasPrefix(fmt.Sprint(item["pk"]), "AUDIT#"):
				audited++
			default:
				lines = append(lines, line)
			}
		}
	}
	slices.Sort(lines)
	return append(lines, fmt.Sprintf("%d audit records", audited))
}

// secrets returns the secrets of a household.
func (h *household) secrets(t *testing.T) []string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(secretValues(t, common)) {
		if strings.Contains(line, h.id) {
			lines = append(lines, line)
		}
	}
	return lines
}

// cursor returns a cursor that a member of the household has of a list, or, where
// that is not theirs or has one page only, of the users.
func (h *household) cursor(r contract.Route) string {
	owner := h.members["owner"]
	for _, path := range []string{h.path(r.Path), "/users"} {
		got := owner.do("GET", path+"?limit=1", nil)
		if target, _, more := strings.Cut(strings.TrimPrefix(got.Header.Get("Link"), "<"), ">"); more {
			next, err := url.Parse(target)
			if err != nil {
				owner.t.Fatal(err)
			}
			return next.Query().Get("cursor")
		}
	}
	owner.t.Fatal("no list of the household has two pages")
	return ""
}

// path fills a path in.
func (h *household) path(route string) string {
	for _, name := range pathNames(route) {
		route = strings.ReplaceAll(route, "{"+name+"}", url.PathEscape(h.things[thing(route, name)]))
	}
	return route
}

// revealed returns what a text tells of a household that is not in what was sent
// for it.
func (h *household) revealed(text, sent string) []string {
	var found []string
	for _, secret := range append(slices.Collect(maps.Values(h.things)), h.word) {
		if strings.Contains(text, secret) && !strings.Contains(sent, secret) {
			found = append(found, secret)
		}
	}
	return found
}

// forgetUser takes a user away whose account stays, as if it had never become
// one.
func forgetUser(t testing.TB, id string) {
	t.Helper()
	_, err := dynamodb.NewFromConfig(awsConfig(common)).DeleteItem(t.Context(), &dynamodb.DeleteItemInput{
		TableName: new(common.Info().Table),
		Key: map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: "USER#" + id}, "sk": &types.AttributeValueMemberS{Value: "USER"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}
