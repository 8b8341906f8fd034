package contract

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const (
	me       = `{"user_id":"3f0c2a4e-5b1d-4c57-9a53-0f6f3a1c9b7e","username":"dewi","email":"dewi@nusantara.example","owner_id":null,"tenant_id":null,"role":"developer","impersonation":null}`
	signIn   = `{"username":"dewi","password":"correct horse battery"}`
	token    = `{"access_token":"a","refresh_token":"r","token_type":"Bearer","expires_in":3600,"tenant_id":null}`
	notFound = `{"type":"/docs/problems/not-found","title":"There is no such thing","status":404,"instance":"/nowhere","request_id":"R1"}`
	taken    = `{"type":"/docs/problems/slug-taken","title":"The slug is taken","status":409,"instance":"/auth/me","request_id":"R1"}`
)

// An exchange is a request and its answer, as far as a case differs from a
// usual one.
type exchange struct {
	method, target string
	sent           string
	sentType       string
	status         int
	header         http.Header
	body           string
}

func jsonHeader() http.Header {
	return http.Header{"Content-Type": {"application/json; charset=utf-8"}, "X-Request-Id": {"R1"}}
}

func problemHeader() http.Header {
	return http.Header{"Content-Type": {problemType}, "X-Request-Id": {"R1"}}
}

func TestCheck(t *testing.T) {
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	tag := http.Header{"Etag": {`"7"`}, "X-Request-Id": {"R1"}}
	link := jsonHeader()
	link.Set("Link", "/tenants?cursor=x")
	for name, test := range map[string]struct {
		exchange
		want string // a part of the error; "" where there is none
	}{
		"fits":                {exchange{"GET", "/auth/me", "", "", 200, jsonHeader(), me}, ""},
		"body fits":           {exchange{"POST", "/auth/token", signIn, "application/json", 200, jsonHeader(), token}, ""},
		"no content":          {exchange{"POST", "/auth/logout", "", "", 204, http.Header{"X-Request-Id": {"R1"}}, ""}, ""},
		"not modified":        {exchange{"GET", "/docs/problems/stale", "", "", 304, tag, ""}, ""},
		"query fits":          {exchange{"GET", "/tenants?limit=5&status_filter=active", "", "", 200, jsonHeader(), "[]"}, ""},
		"refused request":     {exchange{"POST", "/auth/token", "not JSON", "", 400, problemHeader(), strings.ReplaceAll(notFound, "not-found\",\"title\":\"There is no such thing\",\"status\":404", "malformed\",\"title\":\"The request cannot be read\",\"status\":400")}, ""},
		"preflight":           {exchange{"OPTIONS", "/auth/me", "", "", 204, http.Header{}, ""}, ""},
		"no such path":        {exchange{"GET", "/nowhere", "", "", 404, problemHeader(), notFound}, ""},
		"no such method":      {exchange{"HEAD", "/auth/me", "", "", 405, problemHeader(), ""}, ""},
		"gateway, 401":        {exchange{"GET", "/auth/me", "", "", 401, http.Header{"Content-Type": {"application/json"}}, `{"message":"Unauthorized"}`}, ""},
		"gateway, its limits": {exchange{"GET", "/auth/me", "", "", 431, http.Header{"Content-Type": {"application/json"}}, `{"message":"Request Header Fields Too Large"}`}, ""},

		"stray member":          {exchange{"GET", "/auth/me", "", "", 200, jsonHeader(), strings.Replace(me, "{", `{"password":"p",`, 1)}, "password"},
		"missing member":        {exchange{"GET", "/auth/me", "", "", 200, jsonHeader(), "{}"}, "missing properties"},
		"bad format":            {exchange{"GET", "/auth/me", "", "", 200, jsonHeader(), strings.Replace(me, "3f0c2a4e", "3f0c", 1)}, "uuid"},
		"not JSON":              {exchange{"GET", "/auth/me", "", "", 200, jsonHeader(), "<html>"}, "not JSON"},
		"no request id":         {exchange{"GET", "/auth/me", "", "", 200, http.Header{"Content-Type": {"application/json"}}, me}, "X-Request-Id is missing"},
		"other media type":      {exchange{"GET", "/auth/me", "", "", 200, http.Header{"Content-Type": {"text/plain"}, "X-Request-Id": {"R1"}}, me}, "text/plain"},
		"no media type":         {exchange{"GET", "/auth/me", "", "", 200, http.Header{"X-Request-Id": {"R1"}}, me}, "content type"},
		"other status":          {exchange{"GET", "/auth/me", "", "", 201, jsonHeader(), me}, "does not describe this status"},
		"body where none is":    {exchange{"POST", "/auth/logout", "", "", 204, http.Header{"X-Request-Id": {"R1"}}, "{}"}, "is to be empty"},
		"header does not fit":   {exchange{"GET", "/tenants", "", "", 200, link, "[]"}, "header Link"},
		"other kind":            {exchange{"GET", "/auth/me", "", "", 401, problemHeader(), strings.ReplaceAll(notFound, "404", "401")}, `may be "not-found"`},
		"other status in body":  {exchange{"GET", "/nowhere", "", "", 405, problemHeader(), notFound}, "status is 404"},
		"other id in body":      {exchange{"GET", "/nowhere", "", "", 404, http.Header{"Content-Type": {problemType}, "X-Request-Id": {"R2"}}, notFound}, "request_id is R1"},
		"undescribed operation": {exchange{"DELETE", "/auth/me", "", "", 200, jsonHeader(), me}, "knows no DELETE /auth/me"},
		"gateway where it is not to answer": {
			exchange{"GET", "/tenants", "", "", 403, http.Header{"Content-Type": {"application/json"}}, `{"message":"Forbidden"}`}, "application/json",
		},
		"undescribed parameter": {exchange{"GET", "/tenants?colour=red", "", "", 200, jsonHeader(), "[]"}, `parameter "colour"`},
		"ill-typed parameter":   {exchange{"GET", "/tenants?limit=many", "", "", 200, jsonHeader(), "[]"}, "query limit"},
		"parameter too large":   {exchange{"GET", "/tenants?limit=1001", "", "", 200, jsonHeader(), "[]"}, "maximum"},
		"parameter twice":       {exchange{"GET", "/tenants?limit=1&limit=2", "", "", 200, jsonHeader(), "[]"}, "comes 2 times"},
		"body does not fit":     {exchange{"POST", "/auth/token", `{"username":"dewi"}`, "application/json", 200, jsonHeader(), token}, "password"},
		"no body":               {exchange{"POST", "/auth/token", "", "", 200, jsonHeader(), token}, "body is required"},
		"undescribed body":      {exchange{"POST", "/auth/logout", "{}", "application/json", 204, http.Header{"X-Request-Id": {"R1"}}, ""}, "describe a body"},
		"body of another type":  {exchange{"POST", "/auth/token", signIn, "text/plain", 200, jsonHeader(), token}, "text/plain"},
		"problem of another path": {
			exchange{"GET", "/auth/me", "", "", 409, problemHeader(), taken}, "content type application/problem+json",
		},
	} {
		t.Run(name, func(t *testing.T) {
			req := httptest.NewRequestWithContext(t.Context(), test.method, test.target, nil)
			if test.sentType != "" {
				req.Header.Set("Content-Type", test.sentType)
			}
			resp := &http.Response{StatusCode: test.status, Header: test.header}
			err := c.Check(req, []byte(test.sent), resp, []byte(test.body))
			switch {
			case test.want == "" && err != nil:
				t.Errorf("got %v, want no error", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func TestFind(t *testing.T) {
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]string{
		"/tenants":                  "ListTenants",
		"/tenants/t1":               "GetTenant",
		"/tenants/t1/operations":    "ListOperations",
		"/tenants/":                 "",
		"/tenants/t1/operations/o1": "",
		"/docs":                     "GetDocs",
		"/docs/problems":            "GetDocsPage",
		"/docs/problems/slug-taken": "GetDocsPage",
		"/docs/":                    "",
		"/":                         "",
	} {
		op, _ := c.find(httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil))
		got := ""
		if op != nil {
			got = op.OperationID
		}
		if got != want {
			t.Errorf("GET %s is %q, want %q", target, got, want)
		}
	}
}

// recorder is a testing.TB that notes whether it was failed.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Errorf(string, ...any) { r.failed = true }

func TestTransport(t *testing.T) {
	for name, test := range map[string]struct {
		answer string
		failed bool
	}{
		"fits":         {token, false},
		"does not fit": {`{}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			var sent string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				sent = string(body)
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("X-Request-Id", "R1")
				if _, err := io.WriteString(w, test.answer); err != nil {
					t.Error(err)
				}
			}))
			t.Cleanup(server.Close)
			tb := &recorder{TB: t}
			client := &http.Client{Transport: Transport(tb, http.DefaultTransport)}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/auth/token", strings.NewReader(signIn))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			if err := resp.Body.Close(); err != nil {
				t.Error(err)
			}
			if err != nil || string(got) != test.answer || sent != signIn {
				t.Errorf("sent %s, got %s, %v", sent, got, err)
			}
			if tb.failed != test.failed {
				t.Errorf("failed is %v, want %v", tb.failed, test.failed)
			}
		})
	}
}
