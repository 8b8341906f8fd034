package set

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/infra/local/stack"
)

// awsConfig is how any AWS client reaches a stack's engines. It tries again what met
// a transaction of the stack's own.
func awsConfig(s *stack.Stack) aws.Config {
	return aws.Config{
		Region:       s.Info().Region,
		BaseEndpoint: new(s.Info().AWSEndpoint),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "any", SecretAccessKey: "any"}, nil
		}),
		Retryer: func() aws.Retryer {
			return retry.AddWithMaxAttempts(retry.AddWithErrorCodes(retry.NewStandard(), "TransactionConflictException"), 10)
		},
	}
}

func TestSignUp(t *testing.T) {
	c := newClient(t, common)
	id, username, email, password := c.signUp()
	for _, name := range []string{username, email, strings.ToUpper(email)} {
		owner := c.signIn(name, password)
		me := owner.do("GET", "/auth/me", nil).must(200)
		want := map[string]any{
			"user_id": id, "username": username, "email": email, "owner_id": id, "tenant_id": id, "role": "owner", "impersonation": nil,
		}
		if diff := cmp.Diff(want, me.Body); diff != "" {
			t.Errorf("GET /auth/me as %s: %s", name, diff)
		}
	}
	owner := c.signIn(username, password)
	got := owner.active(id)
	if got.Body["isolation"] != "pooled" || got.Body["billing_plan"] != "starter" || got.Body["slug"] != username {
		t.Errorf("the tenant of a sign-up is %s", got.Raw)
	}
	updated := owner.with("If-Match", got.Header.Get("ETag")).do("PATCH", "/tenants/"+id, `{"name":" Renamed ","limits":{"max_agents":2}}`).must(200)
	if updated.Body["name"] != "Renamed" {
		t.Errorf("got name %v, want Renamed", updated.Body["name"])
	}
	owner.with("If-Match", got.Header.Get("ETag")).do("PATCH", "/tenants/"+id, `{"name":"Late"}`).problem(412, "stale")
	owner.do("PUT", "/tenants/"+id, updated.Raw).must(200)
}

func TestSignUpWithConfirmation(t *testing.T) {
	s := startOwn(t, map[string]string{"AutoConfirm": "false"})
	c := newClient(t, s)
	id, username, email, password := c.signUp()
	c.do("POST", "/auth/token", map[string]any{"username": username, "password": password}).problem(403, "user-not-confirmed")
	c.do("POST", "/auth/confirm", map[string]any{"username": username, "code": "000000x"}).problem(422, "invalid")
	c.do("POST", "/auth/confirm/resend", map[string]any{"username": username}).must(202)
	mails := s.Endpoint().Mails(email)
	if len(mails) != 2 {
		t.Fatalf("got %d mails, want the code and the code again", len(mails))
	}
	c.do("POST", "/auth/confirm", map[string]any{"username": username, "code": mails[1].Code}).must(200)
	c.signIn(username, password).active(id)

	// The trigger fails: the function that took the code makes up for it.
	id, username, email, _ = c.signUp()
	s.Endpoint().SetFault(refusing("TransactWriteItems", "CognitoPostConfirmation"))
	c.do("POST", "/auth/confirm", map[string]any{"username": username, "code": c.lastCode(email)}).must(200)
	if got := c.admin().do("GET", "/tenants/"+id, nil).must(200); got.Body["owner_id"] != id {
		t.Errorf("the tenant is %s", got.Raw)
	}

	// Two accounts wait with one address: it belongs to the first who confirms it, and
	// the other account goes.
	s.Endpoint().SetFault(nil)
	name := unique("twin")
	email = name + "@example.com"
	for i := range 2 {
		c.do("POST", "/auth/signup", map[string]any{"username": fmt.Sprint(name, i), "password": password, "email": email}).must(201)
	}
	confirm := func(i int) *answer {
		return c.do("POST", "/auth/confirm", map[string]any{"username": fmt.Sprint(name, i), "code": s.Endpoint().Mails(email)[i].Code})
	}
	confirm(1).must(200)
	confirm(0).problem(409, "email-taken")
	c.signIn(email, password)
	loser := map[string]any{"username": name + "0", "password": password}
	swept(t, s, func() bool { return c.do("POST", "/auth/token", loser).Status == 401 })
}

func TestProvision(t *testing.T) {
	c := newClient(t, common)
	admin := c.admin()
	slug := unique("acme-")
	domain, email := slug+".sip.example.com", slug+"-admin@example.com"
	sipPassword, adminPassword := "a sip password of "+slug, "an admin password of "+slug
	created := admin.do("POST", "/tenants", map[string]any{
		"name": "Acme " + slug, "slug": slug, "country": "ID", "billing_plan": "enterprise",
		"max_concurrent_calls": 500, "limits": map[string]any{"max_agents": 77},
		"admin_email": email, "admin_password": adminPassword,
		"sip_enabled": true, "sip_domain": domain, "sip_username": "acme", "sip_password": sipPassword,
		"meta_data": map[string]any{"crm": []any{1, "two"}},
	}).must(202)
	id := created.text("id")
	if got, want := created.Header.Get("Location"), "/operations/"+created.text("operation_id"); got != want {
		t.Errorf("got Location %q, want %q", got, want)
	}
	op := admin.operation(created.text("operation_id"))
	if op.Body["state"] != "succeeded" {
		t.Fatalf("the operation ended as %s", op.Raw)
	}
	if diff := cmp.Diff([]string{"database succeeded", "identity succeeded", "sip succeeded", "activate succeeded"}, steps(op)); diff != "" {
		t.Error(diff)
	}
	tenant := admin.active(id)
	limits, _ := tenant.Body["limits"].(map[string]any)
	if diff := cmp.Diff(map[string]any{"max_agents": 77.0, "max_contacts": 10_000_000.0, "max_messages_month": 50_000_000.0}, limits); diff != "" {
		t.Error(diff)
	}
	version := fmt.Sprint(tenant.Body["schema_version"])
	if got := schemaVersion(t, common, tenant.text("database")); got != version || version == "0" {
		t.Errorf("the schema version of the tenant's table is %s, and that of the tenant %s", got, version)
	}
	migration := admin.do("POST", "/tenants/"+id+"/migrate", nil).must(202)
	if got := admin.operation(migration.text("id")); got.Body["state"] != "succeeded" || got.Body["kind"] != "migrate" {
		t.Errorf("the migration ended as %s", got.Raw)
	}
	if got := admin.active(id); fmt.Sprint(got.Body["schema_version"]) != version || schemaVersion(t, common, tenant.text("database")) != version {
		t.Errorf("a migration to the version that is there made of the tenant %s", got.Raw)
	}
	owner := c.signIn(email, adminPassword)
	if me := owner.do("GET", "/auth/me", nil).must(200); me.Body["tenant_id"] != id || me.Body["role"] != "owner" {
		t.Errorf("the tenant's admin is %s", me.Raw)
	}
	secrets := secretValues(t, common)
	if n := strings.Count(secrets, sipPassword); n != 1 {
		t.Errorf("the SIP password is in %d secrets, want 1", n)
	}
	if strings.Contains(secrets, adminPassword) {
		t.Error("the admin's password is in a secret still")
	}
	for name, text := range map[string]string{"table": tableText(t, common, common.Info().Table), "operation": op.Raw, "tenant": tenant.Raw} {
		if strings.Contains(text, sipPassword) || strings.Contains(text, adminPassword) {
			t.Errorf("a password is in the %s", name)
		}
	}
}

func TestListAndUpdate(t *testing.T) {
	admin := newClient(t, common).admin()
	prefix := unique("listed-")
	var ids []string
	for i := range 5 {
		a := admin.do("POST", "/tenants", map[string]any{"name": fmt.Sprintf("%s %d", prefix, i), "isolation": "pooled"}).must(202)
		ids = append(ids, a.text("id"))
	}
	for _, id := range ids {
		admin.active(id)
	}
	admin.do("PATCH", "/tenants/"+ids[3], `{"status":"suspended"}`).problem(422, "invalid")
	admin.do("PATCH", "/tenants/"+ids[3], `{"status":"suspended","status_reason":"unpaid"}`).must(200)
	newest := []string{ids[4], ids[3], ids[2], ids[1], ids[0]}
	eventually(t, "the list held all", func() bool {
		return cmp.Equal(newest, idsOf(admin.do("GET", "/tenants?limit=5", nil).must(200)))
	})
	paged := append(idsOf(admin.do("GET", "/tenants?limit=2", nil)), idsOf(admin.do("GET", "/tenants?limit=3&offset=2", nil))...)
	if diff := cmp.Diff(newest, paged); diff != "" {
		t.Errorf("by offset: %s", diff)
	}
	for filter, least := range map[string]int{"": 5, "&status_filter=suspended": 1, "&offset=7000000": 5} {
		total := admin.do("GET", "/tenants?limit=1"+filter, nil).must(200).Header.Get("X-Total-Count")
		if n, err := strconv.Atoi(total); err != nil || n < least {
			t.Errorf("%s: got a total of %q, want %d or more", filter, total, least)
		}
	}
	var byCursor []string
	for next := "/tenants?limit=2"; ; {
		a := admin.do("GET", next, nil).must(200)
		if byCursor = append(byCursor, idsOf(a)...); len(byCursor) >= 5 {
			break
		}
		next = nextPage(t, a)
	}
	if diff := cmp.Diff(newest, byCursor[:5]); diff != "" {
		t.Errorf("by cursor: %s", diff)
	}
	eventually(t, "the suspended tenant was listed as such", func() bool {
		found := idsOf(admin.do("GET", "/tenants?status_filter=suspended&limit=1", nil).must(200))
		return cmp.Equal([]string{ids[3]}, found)
	})
	search := admin.do("GET", "/tenants?q="+url.QueryEscape(strings.ToUpper(prefix)), nil).must(200)
	if diff := cmp.Diff(ids, idsOf(search)); diff != "" {
		t.Errorf("by q: %s", diff)
	}
	got := admin.do("PATCH", "/tenants/"+ids[0], `{"limits":{"max_contacts":7},"status":"inactive"}`).must(200)
	if limits, _ := got.Body["limits"].(map[string]any); limits["max_contacts"] != 7.0 || limits["max_agents"] != 3.0 || got.Body["status"] != "inactive" {
		t.Errorf("the update gave %s", got.Raw)
	}
}

func TestFailedProvisioning(t *testing.T) {
	c := newClient(t, common)
	admin := c.admin()
	slug := unique("blocked-")
	id := "0f1e2d3c-0000-4000-8000-" + fmt.Sprintf("%012d", names.Add(1))
	table := tenantTable(common, slug, "0f1e2d3c")
	makeTable(t, common, table)
	email := slug + "@example.com"
	created := admin.do("POST", "/tenants", map[string]any{
		"id": id, "name": "Blocked", "slug": slug, "admin_email": email, "admin_password": "a good password",
		"sip_enabled": true, "sip_domain": slug + ".example.com", "sip_username": "u",
	}).must(202)
	if created.text("sip_password") == "" {
		t.Error("the generated SIP password was not shown")
	}
	op := admin.operation(created.text("operation_id"))
	failure, _ := op.Body["error"].(map[string]any)
	if op.Body["state"] != "failed" || failure["step"] != "database" || failure["code"] != "conflict" || failure["hint"] == "" {
		t.Fatalf("the operation ended as %s", op.Raw)
	}
	if got := admin.do("GET", "/tenants/"+id, nil).must(200); got.Body["status"] != "failed" || got.Body["database"] != nil || got.Body["status_reason"] != failure["detail"] {
		t.Errorf("the tenant is %s", got.Raw)
	}
	admin.do("POST", "/tenants", map[string]any{"name": "Other", "slug": slug}).problem(409, "slug-taken")
	admin.do("POST", "/operations/"+created.text("operation_id")+"/retry", `{"sip_password":"short"}`).problem(422, "invalid")
	dropTable(t, common, table) // which was left alone
	retry := admin.do("POST", "/operations/"+created.text("operation_id")+"/retry", nil).must(202)
	if retry.Body["attempt"] != 2.0 {
		t.Errorf("the retry is attempt %v", retry.Body["attempt"])
	}
	if op := admin.operation(created.text("operation_id")); op.Body["state"] != "succeeded" {
		t.Fatalf("the retry ended as %s", op.Raw)
	}
	if got := admin.active(id); got.Body["status_reason"] != nil {
		t.Errorf("the active tenant has a reason still: %s", got.Raw)
	}
	admin.do("POST", "/operations/"+created.text("operation_id")+"/retry", nil).problem(409, "operation-not-failed")
	c.signIn(email, "a good password")
}

// steps returns the name and state of each step of an operation.
func steps(op *answer) []string {
	var out []string
	list, _ := op.Body["steps"].([]any)
	for _, s := range list {
		step, _ := s.(map[string]any)
		out = append(out, fmt.Sprintf("%v %v", step["name"], step["state"]))
	}
	return out
}

func idsOf(a *answer) []string {
	ids := []string{}
	for _, item := range a.List {
		ids = append(ids, fmt.Sprint(item["id"]))
	}
	return ids
}

// nextPage returns the path of the page after a.
func nextPage(t testing.TB, a *answer) string {
	t.Helper()
	for link := range strings.SplitSeq(a.Header.Get("Link"), ",") {
		target, rel, _ := strings.Cut(link, ">")
		if strings.Contains(rel, `rel="next"`) {
			return strings.TrimPrefix(strings.TrimSpace(target), "<")
		}
	}
	t.Fatalf("there is no next page after %s", a.Raw)
	return ""
}

func schemaVersion(t *testing.T, s *stack.Stack, table string) string {
	t.Helper()
	out, err := dynamodb.NewFromConfig(awsConfig(s)).GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: &table,
		Key: map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: "SCHEMA"},
			"sk": &types.AttributeValueMemberS{Value: "SCHEMA"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	n, _ := out.Item["schema_version"].(*types.AttributeValueMemberN)
	if n == nil {
		t.Fatalf("there is no schema version in table %s", table)
	}
	return n.Value
}

// secretValues returns all secrets of a stack, one a line with its name.
func secretValues(t testing.TB, s *stack.Stack) string {
	t.Helper()
	client := secretsmanager.NewFromConfig(awsConfig(s))
	var b strings.Builder
	pages := secretsmanager.NewListSecretsPaginator(client, &secretsmanager.ListSecretsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range page.SecretList {
			value, err := client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: entry.ARN})
			if err != nil {
				continue // it went meanwhile
			}
			fmt.Fprintf(&b, "%s %s\n", *entry.Name, aws.ToString(value.SecretString))
		}
	}
	return b.String()
}

// tableText returns all that a table holds.
func tableText(t testing.TB, s *stack.Stack, table string) string {
	t.Helper()
	var b strings.Builder
	pages := dynamodb.NewScanPaginator(dynamodb.NewFromConfig(awsConfig(s)), &dynamodb.ScanInput{TableName: &table})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			fmt.Fprintln(&b, plain(&types.AttributeValueMemberM{Value: item}))
		}
	}
	return b.String()
}

// plain writes a value out.
func plain(v types.AttributeValue) string {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return v.Value
	case *types.AttributeValueMemberN:
		return v.Value
	case *types.AttributeValueMemberM:
		var b strings.Builder
		for name, member := range v.Value {
			fmt.Fprintf(&b, "%s=%s ", name, plain(member))
		}
		return b.String()
	case *types.AttributeValueMemberL:
		var b strings.Builder
		for _, member := range v.Value {
			fmt.Fprintf(&b, "%s ", plain(member))
		}
		return b.String()
	}
	return fmt.Sprint(v)
}
