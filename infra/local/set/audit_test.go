package set

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/tenantry/tenantry/internal/trail"
)

// export follows an export to its end, and returns its pages.
func (c *client) export(query string) []string {
	c.t.Helper()
	var pages []string
	for next := "/audit-events?" + query; next != ""; {
		a := c.with("Accept", "text/csv").do("GET", next, nil).must(200)
		pages = append(pages, a.Raw)
		next, _, _ = strings.Cut(strings.TrimPrefix(a.Header.Get("Link"), "<"), ">")
	}
	return pages
}

// verify checks the pages of an export with the key that KMS has.
func (c *client) verify(pages []string) (trail.Report, error) {
	c.t.Helper()
	out, err := kms.NewFromConfig(awsConfig(c.stack)).GetPublicKey(c.t.Context(), &kms.GetPublicKeyInput{KeyId: new(c.stack.Info().AuditKeyARN)})
	if err != nil {
		c.t.Fatal(err)
	}
	var files []trail.File
	for i, page := range pages {
		files = append(files, trail.File{Name: fmt.Sprint(i + 1), Data: strings.NewReader(page)})
	}
	return trail.Verify(files, trail.Options{Key: out.PublicKey})
}

// sealed waits until all that an export holds is sealed.
func (c *client) sealed(query string) []string {
	c.t.Helper()
	var pages []string
	fired(c.t.(*testing.T), c.stack, "AuditSealEveryMinute", func() bool {
		pages = c.export(query)
		return !slices.ContainsFunc(pages, func(page string) bool { return strings.Contains(page, ",,,,,\r\n") })
	})
	return pages
}

// What a tenant's members do is sealed, signed by KMS, and exported on as many
// pages as it takes.
func TestAudit(t *testing.T) {
	c := newClient(t, common)
	id, username, _, password := c.signUp()
	owner := c.signIn(username, password)
	owner.active(id)
	owner.do("PATCH", "/tenants/"+id, map[string]any{"name": "=HYPERLINK(1)"}).must(200)
	pages := owner.sealed("limit=2")
	report, err := owner.verify(pages)
	if err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(pages, "\n"))
	}
	if string(report.Head.Stream) != id || report.Unsealed != 0 || int(report.Last) != report.Records || len(pages) != (report.Records+1)/2 {
		t.Errorf("got %+v on %d pages", report, len(pages))
	}
	if _, err := owner.verify(pages[1:]); err == nil || !strings.Contains(err.Error(), "the newest records are missing") {
		t.Errorf("without its first page: %v", err)
	}
	for action, want := range map[string]int{"tenant.created": 1, "user.signed_in": 1, "tenant.updated": 1, "agent.created": 0} {
		if got := owner.do("GET", "/audit-events?action="+action, nil).must(200); len(got.List) != want {
			t.Errorf("got %d records of %s, want %d: %s", len(got.List), action, want, got.Raw)
		}
	}
	changed := owner.do("GET", "/audit-events?action=tenant.updated&actor="+id, nil).must(200)
	if len(changed.List) != 1 || changed.List[0]["seq"] == nil || !strings.Contains(changed.Raw, `"to":"=HYPERLINK(1)"`) {
		t.Errorf("got %s", changed.Raw)
	}

	stranger := newClient(t, common)
	_, username, _, password = stranger.signUp()
	stranger.signIn(username, password).do("GET", "/audit-events?tenant_id="+id, nil).problem(404, "not-found")
	owner.do("GET", "/audit-events?tenant_id=platform", nil).problem(404, "not-found")

	admin := c.admin()
	if report, err := admin.verify(admin.sealed("tenant_id=platform&limit=1000")); err != nil || report.Head.Stream != "platform" {
		t.Errorf("the platform's: %+v, %v", report, err)
	}
	since := url.QueryEscape(time.Now().Add(-time.Hour).UTC().Format(time.RFC3339))
	eventually(t, "the index had the change", func() bool {
		all := admin.do("GET", "/audit-events?limit=1000&action=tenant.updated&from="+since, nil).must(200)
		return strings.Contains(all.Raw, id)
	})
	admin.do("GET", "/audit-events?from=2020-01-01T00:00:00Z", nil).problem(422, "invalid")
}

// No secret is ever in the audit.
func TestAuditHoldsNoSecrets(t *testing.T) {
	c := newClient(t, common)
	admin, slug := c.admin(), unique("vault-")
	marker := func(name string) string { return "canary " + name + " of " + slug }
	created := admin.do("POST", "/tenants", map[string]any{
		"name": slug, "slug": slug, "admin_email": slug + "@example.com", "admin_password": marker("admin_password"),
		"sip_enabled": true, "sip_domain": slug + ".example.com", "sip_username": "u", "sip_password": marker("sip_password"),
		"webhook_url": "https://example.com/hook", "webhook_secret": marker("webhook_secret"),
		"meta_data": map[string]any{"token": marker("meta_data")},
	}).must(202)
	id := created.text("id")
	admin.operation(created.text("operation_id"))
	owner := c.signIn(slug+"@example.com", marker("admin_password"))
	owner.do("PATCH", "/tenants/"+id, map[string]any{"sip_password": marker("new sip_password"), "webhook_secret": marker("new webhook_secret")}).must(200)
	owner.do("POST", "/auth/password/change", map[string]any{"old_password": marker("admin_password"), "new_password": marker("new password")}).must(204)
	for _, of := range []string{id, "PLATFORM"} {
		text := auditText(t, c, of)
		if strings.Contains(text, "canary") {
			t.Errorf("a secret is in the audit of %s: %s", of, text)
		}
		if of == id && !strings.Contains(text, `["secrets"]`) {
			t.Errorf("that secrets changed is not in the audit: %s", text)
		}
	}
}

// auditText returns all that is stored of a part of the audit.
func auditText(t *testing.T, c *client, of string) string {
	t.Helper()
	pages := dynamodb.NewQueryPaginator(dynamodb.NewFromConfig(awsConfig(c.stack)), &dynamodb.QueryInput{
		TableName: new(c.stack.Info().Table), KeyConditionExpression: new("pk = :pk"), ConsistentRead: new(true),
		ExpressionAttributeValues: map[string]types.AttributeValue{":pk": &types.AttributeValueMemberS{Value: "AUDIT#" + of}},
	})
	var text strings.Builder
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			fmt.Fprintln(&text, plain(&types.AttributeValueMemberM{Value: item}))
		}
	}
	return text.String()
}
