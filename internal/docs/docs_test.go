package docs

import (
	"crypto/sha256"
	"encoding/base64"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/api"
	"github.com/tenantry/tenantry/internal/fault"
)

// TestKindsAndPages holds the kinds of failure and their pages to each other. A
// failure without a kind has a page too.
func TestKindsAndPages(t *testing.T) {
	doc, err := readDocument()
	if err != nil {
		t.Fatal(err)
	}
	want := append(kinds(t), "internal")
	var got []string
	for _, p := range doc.problems() {
		got = append(got, p.kind)
		var value struct {
			Type   string
			Title  string
			Status int
		}
		if err := p.example.Value.Decode(&value); err != nil {
			t.Error(err)
		}
		if value.Type != api.ProblemPath+p.kind || value.Status != p.status {
			t.Errorf("the example of %s has the type %s and the status %d, want %d", p.kind, value.Type, value.Status, p.status)
		}
		if _, title, known := api.Status(fault.Kind(p.kind)); known && (value.Title != title || p.example.Summary != title) {
			t.Errorf("the title of %s is %q, its example says %q, its page %q", p.kind, title, value.Title, p.example.Summary)
		}
		for _, heading := range []string{"## Cause\n", "## What to do\n"} {
			if strings.Count(p.example.Description, heading) != 1 {
				t.Errorf("the page of %s has not one heading %q", p.kind, heading)
			}
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pages differ from kinds (-kinds +pages):\n%s", diff)
	}
}

// kinds returns the constants of type fault.Kind.
func kinds(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../fault/fault.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); !ok || name.Name != "Kind" {
			return true
		}
		for _, value := range spec.Values {
			kind, err := strconv.Unquote(value.(*ast.BasicLit).Value)
			if err != nil {
				t.Error(err)
			}
			all = append(all, kind)
		}
		return true
	})
	if len(all) == 0 {
		t.Fatal("found no kinds")
	}
	return all
}

// everyPage returns all pages for people, by path.
func everyPage(t *testing.T) map[string]string {
	t.Helper()
	site := NewSite()
	doc, err := site.document()
	if err != nil {
		t.Fatal(err)
	}
	paths := []string{"/docs", "/docs/problems"}
	for _, p := range doc.problems() {
		paths = append(paths, api.ProblemPath+p.kind)
	}
	all := map[string]string{}
	for _, path := range paths {
		page, err := site.Page(path)
		if err != nil {
			t.Fatal(err)
		}
		all[path] = page.Body
	}
	return all
}

func TestPagesAreWhole(t *testing.T) {
	tags := regexp.MustCompile(`<(/?)([a-z][a-z0-9]*)[^>]*>`)
	void := []string{"meta", "link", "wbr", "br"}
	for path, body := range everyPage(t) {
		var open []string
		for _, tag := range tags.FindAllStringSubmatch(body, -1) {
			switch name := tag[2]; {
			case slices.Contains(void, name):
			case tag[1] == "":
				open = append(open, name)
			case len(open) == 0 || open[len(open)-1] != name:
				t.Fatalf("%s: %s closes what is not open; open are %v", path, tag[0], open)
			default:
				open = open[:len(open)-1]
			}
		}
		if len(open) > 0 {
			t.Errorf("%s: %v stay open", path, open)
		}
		if strings.Contains(body, "%!") || strings.Contains(body, "<!-- raw HTML omitted -->") {
			t.Errorf("%s: something was not written", path)
		}
	}
}

// TestPagesLoadNothing sees to it that a page is all there without the internet,
// and that its style sheet is the one that its policy allows.
func TestPagesLoadNothing(t *testing.T) {
	loads := regexp.MustCompile(`<script|<img|<iframe| src=|@import|url\(|<link [^>]*href="[^d]`)
	style := regexp.MustCompile(`(?s)<style>(.*?)</style>`)
	for path, body := range everyPage(t) {
		if found := loads.FindString(body); found != "" {
			t.Errorf("%s has %q", path, found)
		}
		sum := sha256.Sum256([]byte(style.FindStringSubmatch(body)[1]))
		if hash := base64.StdEncoding.EncodeToString(sum[:]); !strings.Contains(contentPolicy(), "style-src 'sha256-"+hash+"'") {
			t.Errorf("the policy of %s does not allow its style sheet", path)
		}
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	pages := everyPage(t)
	ids := regexp.MustCompile(` id="([^"]*)"`)
	targets := map[string]bool{"/openapi.json": true}
	for path, body := range pages {
		targets[path] = true
		for _, id := range ids.FindAllStringSubmatch(body, -1) {
			if targets[path+"#"+id[1]] {
				t.Errorf("%s has the id %q twice", path, id[1])
			}
			targets[path+"#"+id[1]] = true
		}
	}
	links := regexp.MustCompile(`<a [^>]*href="([^"]*)"`)
	for path, body := range pages {
		for _, link := range links.FindAllStringSubmatch(body, -1) {
			target := link[1]
			if strings.HasPrefix(target, "#") {
				target = path + target
			}
			if !targets[target] {
				t.Errorf("%s links to %s, which is not there", path, link[1])
			}
		}
	}
}

func TestMembersAreDescribed(t *testing.T) {
	doc, err := readDocument()
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range doc.Components.Schemas {
		for _, f := range doc.fields(newWriter(), s, "") {
			if f.description == "" {
				t.Errorf("%s does not say what %s is", name, f.name)
			}
		}
	}
}

func TestReference(t *testing.T) {
	body := everyPage(t)["/docs"]
	for name, want := range map[string]string{
		"a callable role":         `<span class="role">applicant</span>`,
		"a nested member":         `<code>limits.max_agents</code>`,
		"a member of a list":      `<code>steps[].started_at</code>`,
		"a nullable object":       `<span class="type">object or null</span>`,
		"a default in a draft":    `default <code>90</code>`,
		"a rule of a part":        `1 to 3650`,
		"a kind of problem":       `<a href="/docs/problems/slug-taken"><code>slug-taken</code></a>`,
		"a path filled in":        `curl &#34;$API/tenants/3f0c2a4e-5b1d-4c57-9a53-0f6f3a1c9b7e&#34;`,
		"a member with its rules": `<p>one of <code>business</code>, <code>developer</code>; default <code>business</code></p>`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is missing: %s", name, want)
		}
	}
}

func TestCallers(t *testing.T) {
	for name, test := range map[string]struct {
		op   operation
		want markup
	}{
		"public":          {operation{Roles: words{"public"}}, `<span class="role open">everybody, without a token</span>`},
		"any":             {operation{Roles: words{"any"}}, `<span class="role">everybody who is signed in</span>`},
		"roles":           {operation{Roles: words{"owner", "admin"}}, `<span class="role">owner</span> <span class="role">admin</span>`},
		"a scope":         {operation{Scope: "sip:read"}, `<span class="role">services with sip:read</span>`},
		"a scope besides": {operation{Roles: words{"owner"}, Scope: "sip:read"}, `<span class="role">owner</span> <span class="role">services with sip:read</span>`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := callers(test.op); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestCurl(t *testing.T) {
	key := parameter{In: "header", Name: "Idempotency-Key"}
	id := parameter{In: "path", Name: "id", Example: "T1"}
	for name, test := range map[string]struct {
		op   operation
		body string
		want string
	}{
		"public":     {operation{Method: "GET", Path: "/health", Roles: words{"public"}}, "", `curl "$API/health"`},
		"with token": {operation{Method: "GET", Path: "/t/{id}", Parameters: []parameter{id}}, "", "curl \"$API/t/T1\" \\\n  -H \"Authorization: Bearer $TOKEN\""},
		"with key":   {operation{Method: "POST", Path: "/t", Roles: words{"public"}, Parameters: []parameter{key}}, "", "curl -X POST \"$API/t\" \\\n  -H \"Idempotency-Key: $(uuidgen)\""},
		"with body":  {operation{Method: "PUT", Path: "/t", Roles: words{"public"}}, `{"a":"it's"}`, "curl -X PUT \"$API/t\" \\\n  -H \"Content-Type: application/json\" \\\n  -d '{\"a\":\"it'\\''s\"}'"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := curl(test.op, test.body); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// answer is what a Server answers.
type answer struct {
	StatusCode int               `json:"statusCode"`
	Headers    map[string]string `json:"headers"`
	Body       string            `json:"body"`
}

func get(t *testing.T, path, ifNoneMatch string) answer {
	t.Helper()
	event, err := json.Marshal(map[string]any{
		"rawPath":        path,
		"headers":        map[string]string{"if-none-match": ifNoneMatch},
		"requestContext": map[string]any{"requestId": "R1", "http": map[string]any{"method": "GET"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err := api.Serve(GetDocs(NewSite())).Invoke(t.Context(), event)
	if err != nil {
		t.Fatal(err)
	}
	var a answer
	if err := json.Unmarshal(out, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestGetDocs(t *testing.T) {
	for name, test := range map[string]struct {
		path        string
		status      int
		contentType string
		body        string // a part of it
	}{
		"document":      {"/openapi.json", 200, "application/json", `{"openapi":"3.1.1"`},
		"reference":     {"/docs", 200, "text/html; charset=utf-8", "<h1>Tenantry API</h1>"},
		"problems":      {"/docs/problems", 200, "text/html; charset=utf-8", "<h1>Problems</h1>"},
		"problem":       {"/docs/problems/slug-taken", 200, "text/html; charset=utf-8", "<h1>The slug is taken</h1>"},
		"no such kind":  {"/docs/problems/bad-weather", 404, "application/problem+json", `there is no kind of problem \"bad-weather\"`},
		"no such page":  {"/docs/tenants", 404, "application/problem+json", `there is no page \"/docs/tenants\"`},
		"other example": {"/docs/problems/Tenant", 404, "application/problem+json", "there is no kind"},
	} {
		t.Run(name, func(t *testing.T) {
			got := get(t, test.path, "")
			if got.StatusCode != test.status || got.Headers["content-type"] != test.contentType || !strings.Contains(got.Body, test.body) {
				t.Errorf("got %d, %s: %.200s", got.StatusCode, got.Headers["content-type"], got.Body)
			}
			if test.status != 200 {
				return
			}
			if got.Headers["cache-control"] != maxAge || !strings.HasPrefix(got.Headers["content-security-policy"], "default-src 'none'") || got.Headers["x-content-type-options"] != "nosniff" {
				t.Errorf("headers are %v", got.Headers)
			}
			again := get(t, test.path, got.Headers["etag"])
			if again.StatusCode != 304 || again.Body != "" || again.Headers["etag"] != got.Headers["etag"] || again.Headers["cache-control"] != maxAge {
				t.Errorf("with its ETag got %d, %v", again.StatusCode, again.Headers)
			}
		})
	}
}

func TestPageIsMadeOnce(t *testing.T) {
	site := NewSite()
	first, err := site.Page("/docs")
	if err != nil {
		t.Fatal(err)
	}
	site.document = func() (*document, error) { return nil, fault.NotFound }
	if again, err := site.Page("/docs"); err != nil || again != first {
		t.Errorf("the page was made again: %v", err)
	}
}
