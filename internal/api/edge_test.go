package api

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/patch"
)

// A probe is the body that the tests of the edge send.
type probe struct {
	Name   patch.Field[string]  `json:"name,omitzero"`
	Count  patch.Field[int]     `json:"count,omitzero"`
	Note   patch.Field[*string] `json:"note,omitzero"`
	On     patch.Field[bool]    `json:"on,omitzero"`
	Limits struct {
		Most patch.Field[int] `json:"most,omitzero"`
	} `json:"limits,omitzero"`
	Data patch.Field[jsontext.Value] `json:"data,omitzero"`
	Text patch.Field[*lines]         `json:"text,omitzero"`
}

// echo answers what it read.
func echo() Operation {
	return Operation{
		Name:  "Echo",
		Allow: identity.Public(),
		Query: []string{"a"},
		Handle: func(_ context.Context, r *Request) (*Response, error) {
			in, faults, err := Decode[probe](r)
			if err != nil {
				return nil, err
			}
			if err := faults.Err(); err != nil {
				return nil, err
			}
			return OK([]string{in.Name.Value}), nil
		},
	}
}

func TestDecode(t *testing.T) {
	const (
		malformedStart = `{"type":"/docs/problems/malformed","title":"The request cannot be read","status":400,"detail":`
		invalidStart   = `{"type":"/docs/problems/invalid","title":"The request breaks rules","status":422,"detail":"the request breaks a rule; errors lists each"`
		end            = `,"instance":"/echo","request_id":"R1"`
		control        = malformedStart + `"the body holds control characters"` + end
		members        = malformedStart + `"the body holds what this operation does not take"` + end
	)
	nested := func(depth int) string {
		return `{"data":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + `}`
	}
	for name, test := range map[string]struct {
		body   string
		status int
		want   string
	}{
		"read":                       {`{"name":"Acme","count":-1,"note":null,"on":true,"limits":{"most":7},"data":{"a":[1]}}`, 200, `["Acme"]`},
		"empty":                      {`{}`, 200, `[""]`},
		"space":                      {" {\t\"name\" :\r\n\"Acme\"} ", 200, `["Acme"]`},
		"tab in a text":              {`{"name":"a\tb"}`, 400, members + `,"errors":[{"pointer":"#/name","detail":"must not hold tabs or line breaks"}]}`},
		"lines in a text":            {`{"text":"a\tb\r\nc"}`, 200, `[""]`},
		"no lines in a text":         {`{"text":null}`, 200, `[""]`},
		"lines and control":          {`{"text":"a\nb\u0000"}`, 400, control + `,"errors":[{"pointer":"#/text","detail":"must not hold control characters other than tab and line breaks"}]}`},
		"lines of a wrong type":      {`{"text":["a"]}`, 422, invalidStart + end + `,"errors":[{"pointer":"#/text","detail":"must be a string or null"}]}`},
		"surrogate pair":             {`{"name":"\ud83d\ude00"}`, 200, `["😀"]`},
		"nested 16 deep":             {nested(16), 200, `[""]`},
		"64 KiB":                     {`{"data":"` + strings.Repeat("x", 64<<10-11) + `"}`, 200, `[""]`},
		"no body":                    {``, 400, malformedStart + `"the body is not JSON: it ends too early"` + end + `}`},
		"only space":                 {` `, 400, malformedStart + `"the body is not JSON: it ends too early"` + end + `}`},
		"cut off":                    {`{"name":"Acme`, 400, malformedStart + `"the body is not JSON: see byte 13"` + end + `}`},
		"not JSON":                   {`{name:"Acme"}`, 400, malformedStart + `"the body is not JSON: see byte 2"` + end + `}`},
		"trailing comma":             {`{"name":"Acme",}`, 400, malformedStart + `"the body is not JSON: see byte 14"` + end + `}`},
		"NaN":                        {`{"count":NaN}`, 400, malformedStart + `"the body is not JSON: see byte 9"` + end + `}`},
		"two values":                 {`{}{}`, 400, malformedStart + `"the body holds more than one JSON value"` + end + `}`},
		"twice":                      {`{"name":"a","name":"b"}`, 400, malformedStart + `"the body has a member twice"` + end + `,"errors":[{"pointer":"#/name","detail":"must be there once"}]}`},
		"twice, deep":                {`{"data":[{"a":1,"\u0061":2}]}`, 400, malformedStart + `"the body has a member twice"` + end + `,"errors":[{"pointer":"#/data/0/a","detail":"must be there once"}]}`},
		"invalid UTF-8":              {"{\"name\":\"\xff\"}", 400, malformedStart + `"the body is not JSON: see byte 9"` + end + `}`},
		"lone surrogate":             {`{"name":"\ud800"}`, 400, malformedStart + `"the body is not JSON: see byte 9"` + end + `}`},
		"low surrogate":              {`{"name":"\udc00"}`, 400, malformedStart + `"the body is not JSON: see byte 9"` + end + `}`},
		"NUL":                        {`{"name":"a\u0000"}`, 400, control + `,"errors":[{"pointer":"#/name","detail":"must not hold control characters other than tab and line breaks"}]}`},
		"DEL":                        {"{\"name\":\"a\x7f\"}", 400, control + `,"errors":[{"pointer":"#/name","detail":"must not hold control characters other than tab and line breaks"}]}`},
		"C1":                         {`{"name":"a\u0085"}`, 400, control + `,"errors":[{"pointer":"#/name","detail":"must not hold control characters other than tab and line breaks"}]}`},
		"NUL, deep":                  {`{"data":{"a":["\u0000"]}}`, 400, control + `,"errors":[{"pointer":"#/data/a/0","detail":"must not hold control characters other than tab and line breaks"}]}`},
		"raw control":                {"{\"name\":\"a\nb\"}", 400, malformedStart + `"the body is not JSON: see byte 10"` + end + `}`},
		"nested 17 deep":             {nested(17), 400, malformedStart + `"the body is nested over 16 deep"` + end + `}`},
		"very deep":                  {strings.Repeat("[", 30_000), 400, malformedStart + `"the body is nested over 16 deep"` + end + `}`},
		"unknown members":            {`{"nom":1,"limits":{"least":1},"a/b~c":1}`, 400, members + `,"errors":[{"pointer":"#/a~1b~0c","detail":"is not a member of this resource"},{"pointer":"#/limits/least","detail":"is not a member of this resource"},{"pointer":"#/nom","detail":"is not a member of this resource"}]}`},
		"wrong case":                 {`{"Name":"Acme"}`, 400, members + `,"errors":[{"pointer":"#/Name","detail":"must be written name"}]}`},
		"unknown before wrong types": {`{"nom":1,"name":1}`, 400, members + `,"errors":[{"pointer":"#/nom","detail":"is not a member of this resource"}]}`},
		"array":                      {`[]`, 422, invalidStart + end + `,"errors":[{"pointer":"#","detail":"must be an object"}]}`},
		"null":                       {`null`, 422, invalidStart + end + `,"errors":[{"pointer":"#","detail":"must be an object"}]}`},
		"wrong types": {`{"name":1,"count":"1","note":false,"on":1,"limits":[]}`, 422, invalidStart + end + `,"errors":[` +
			`{"pointer":"#/count","detail":"must be an integer"},{"pointer":"#/limits","detail":"must be an object"},` +
			`{"pointer":"#/name","detail":"must be a string"},{"pointer":"#/note","detail":"must be a string or null"},` +
			`{"pointer":"#/on","detail":"must be true or false"}]}`},
		"nulls": {`{"name":null,"count":null,"on":null,"limits":null}`, 422, invalidStart + end + `,"errors":[` +
			`{"pointer":"#/count","detail":"must not be null"},{"pointer":"#/limits","detail":"must not be null"},` +
			`{"pointer":"#/name","detail":"must not be null"},{"pointer":"#/on","detail":"must not be null"}]}`},
		"not an integer": {`{"count":1.5,"limits":{"most":1e99}}`, 422, invalidStart + end + `,"errors":[` +
			`{"pointer":"#/count","detail":"must be an integer"},{"pointer":"#/limits/most","detail":"must be an integer"}]}`},
		"over 64 KiB": {`{"data":"` + strings.Repeat("x", 64<<10-10) + `"}`, 413, `{"type":"/docs/problems/too-large","title":"The body is too large","status":413,` +
			`"detail":"the body is 65537 bytes, and at most 65536 are read"` + end + `}`},
	} {
		t.Run(name, func(t *testing.T) {
			// The gateway sends a body that is not text in base64.
			serve(t, echo(), sent{path: "/echo", body: test.body, base64: true}).check(t, test.status, test.want)
		})
	}
}

func TestContentType(t *testing.T) {
	for contentType, status := range map[string]int{
		"application/json":                         200,
		"Application/JSON; charset=utf-8":          200,
		"":                                         415,
		"text/plain":                               415,
		"application/json; charset=iso-8859-1":     415,
		"application/x-www-form-urlencoded":        415,
		"application/json/x":                       415,
		"application/merge-patch+json":             415,
		"multipart/form-data; boundary=x":          415,
		"application/json, application/json":       415,
		`application/json; charset="utf-8`:         415,
		"application/problem+json; charset=utf-8;": 415,
	} {
		got := serve(t, echo(), sent{path: "/echo", body: `{}`, headers: map[string]string{"content-type": contentType}})
		if got.StatusCode != status {
			t.Errorf("%q: got %d %s, want %d", contentType, got.StatusCode, got.Body, status)
		}
	}
}

// TestHeaderNames sends names as clients may write them.
func TestHeaderNames(t *testing.T) {
	for _, name := range []string{"idempotency-key", "Idempotency-Key", "IDEMPOTENCY-KEY"} {
		r, err := newRequest(&event{Headers: map[string]string{name: "key"}})
		if err != nil || r.Header("idempotency-key") != "key" {
			t.Errorf("%s: got %q, %v", name, r.Header("idempotency-key"), err)
		}
	}
}

func TestQuery(t *testing.T) {
	const start, end = `{"type":"/docs/problems/malformed","title":"The request cannot be read","status":400,"detail":`, `,"instance":"/echo","request_id":"R1"`
	const untaken = start + `"the query string is not one that this operation takes"` + end
	for name, test := range map[string]struct {
		query  string
		status int
		want   string
	}{
		"known":           {"a=1", 200, `[""]`},
		"unknown, twice":  {"a=1&a=2&b=1&A=1", 400, untaken + `,"errors":[{"parameter":"A","detail":"is not a parameter of this operation"},{"parameter":"a","detail":"must be given once"},{"parameter":"b","detail":"is not a parameter of this operation"}]}`},
		"not escaped":     {"a=%zz", 400, start + `"the query string cannot be read"` + end + `}`},
		"no UTF-8":        {"a=%FF", 400, start + `"the query string holds control characters, or what is not UTF-8"` + end + `}`},
		"no UTF-8, name":  {"%FF=1", 400, start + `"the query string holds control characters, or what is not UTF-8"` + end + `}`},
		"NUL":             {"a=%00", 400, start + `"the query string holds control characters, or what is not UTF-8"` + end + `}`},
		"empty parameter": {"a", 200, `[""]`},
	} {
		t.Run(name, func(t *testing.T) {
			serve(t, echo(), sent{path: "/echo", query: test.query, body: `{}`}).check(t, test.status, test.want)
		})
	}
}

// answer is an operation that answers or fails as it is told.
func answer(allow identity.Rule, resp *Response, err error) Operation {
	return Operation{Name: "Answer", Allow: allow, Handle: func(context.Context, *Request) (*Response, error) { return resp, err }}
}

func TestServeAdmits(t *testing.T) {
	const end = `,"instance":"/answer","request_id":"R1"}`
	for name, test := range map[string]struct {
		allow  identity.Rule
		caller AuthorizerContext
		status int
		want   string
	}{
		"public":               {identity.Public(), AuthorizerContext{}, 200, `1`},
		"public, a bad token":  {identity.Public(), AuthorizerContext{Problem: fault.TokenInvalid}, 200, `1`},
		"a role":               {identity.Managers(), AuthorizerContext{Subject: "U", Role: identity.Admin}, 200, `1`},
		"another role":         {identity.Managers(), AuthorizerContext{Subject: "U", Role: identity.Agent}, 403, `{"type":"/docs/problems/forbidden","title":"The caller may not do this","status":403,"detail":"your role, agent, may not do this"` + end},
		"nobody":               {identity.Anyone(), AuthorizerContext{}, 401, `{"type":"/docs/problems/unauthenticated","title":"There is no token","status":401,"detail":"send a token in the header Authorization: Bearer …"` + end},
		"a role, but no token": {identity.Anyone(), AuthorizerContext{Role: identity.PlatformAdmin}, 401, `{"type":"/docs/problems/unauthenticated","title":"There is no token","status":401,"detail":"send a token in the header Authorization: Bearer …"` + end},
		"expired since":        {identity.Anyone(), AuthorizerContext{Subject: "U", Role: identity.Owner, ExpiresAt: time.Now().Unix()}, 401, `{"type":"/docs/problems/token-expired","title":"The token has expired","status":401,"detail":"the token has expired; get a new one from POST /auth/token or POST /auth/refresh; a service needs another key"` + end},
		"an expired token":     {identity.Anyone(), AuthorizerContext{Problem: fault.TokenExpired}, 401, `{"type":"/docs/problems/token-expired","title":"The token has expired","status":401,"detail":"the token has expired; get a new one from POST /auth/token or POST /auth/refresh; a service needs another key"` + end},
		"a bad token":          {identity.Anyone(), AuthorizerContext{Problem: "other"}, 401, `{"type":"/docs/problems/token-invalid","title":"The token is not good","status":401,"detail":"the token is not one that this API issued, or it was withdrawn"` + end},
		"the zero rule":        {identity.Rule{}, AuthorizerContext{Subject: "U", Role: identity.PlatformAdmin}, 403, `{"type":"/docs/problems/forbidden","title":"The caller may not do this","status":403,"detail":"your role, platform_admin, may not do this"` + end},
	} {
		t.Run(name, func(t *testing.T) {
			got := serve(t, answer(test.allow, OK(1), nil), sent{path: "/answer", caller: test.caller})
			got.check(t, test.status, test.want)
			if challenge := got.Headers["www-authenticate"]; (challenge == "Bearer") != (test.status == 401) {
				t.Errorf("got the challenge %q", challenge)
			}
		})
	}
}

func TestServeHeaders(t *testing.T) {
	want := map[string]string{
		"content-type": "application/json", "x-request-id": "R1", "cache-control": "no-store", "x-content-type-options": "nosniff",
		"content-security-policy": "default-src 'none'; frame-ancestors 'none'", "referrer-policy": "no-referrer",
		"strict-transport-security": "max-age=63072000; includeSubDomains",
	}
	got := serve(t, answer(identity.Public(), OK(1), nil), sent{})
	if diff := cmp.Diff(want, got.Headers); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want["content-type"], want["retry-after"] = "application/problem+json", "2"
	got = serve(t, answer(identity.Public(), nil, &fault.Error{Kind: fault.TooManyRequests, RetryAfter: 1100 * time.Millisecond}), sent{})
	if diff := cmp.Diff(want, got.Headers); diff != "" {
		t.Errorf("a problem (-want +got):\n%s", diff)
	}
	delete(want, "retry-after")
	want["content-type"], want["cache-control"], want["location"] = "text/plain", "public", "/a"
	resp := Created("/a", "text")
	resp.Header["content-type"], resp.Header["cache-control"] = "text/plain", "public"
	got = serve(t, answer(identity.Public(), resp, nil), sent{})
	got.check(t, 201, "text")
	if diff := cmp.Diff(want, got.Headers); diff != "" {
		t.Errorf("its own (-want +got):\n%s", diff)
	}
}

func TestServeNotModified(t *testing.T) {
	for name, test := range map[string]struct {
		method, match string
		status        int
	}{
		"no header":      {"GET", "", 200},
		"the same":       {"GET", `"7"`, 304},
		"weak":           {"GET", `W/"7"`, 304},
		"one of many":    {"GET", `"1", "7" ,"x"`, 304},
		"any":            {"GET", `*`, 304},
		"another":        {"GET", `"8"`, 200},
		"not quoted":     {"GET", `7`, 200},
		"another method": {"PATCH", `"7"`, 200},
	} {
		t.Run(name, func(t *testing.T) {
			got := serve(t, answer(identity.Public(), OK(1).WithVersion(7), nil), sent{method: test.method, headers: map[string]string{"if-none-match": test.match}})
			if got.StatusCode != test.status || got.Headers["etag"] != `"7"` || (test.status == http.StatusNotModified) != (got.Body == "") {
				t.Errorf("got %d %s with ETag %s, want %d", got.StatusCode, got.Body, got.Headers["etag"], test.status)
			}
		})
	}
}

func TestIfMatch(t *testing.T) {
	for header, want := range map[string][]int64{
		"":                      nil,
		" * ":                   nil,
		`"7"`:                   {7},
		`"7", "8" `:             {7, 8},
		`"7", W/"8" `:           {7},
		`7`:                     {},
		`"x"`:                   {},
		`"-7"`:                  {},
		`"0"`:                   {},
		`"x", "7"`:              {7},
		`"7`:                    {},
		`"7.0"`:                 {},
		`"9999999999999999999"`: {},
	} {
		r := &Request{headers: map[string]string{"if-match": header}}
		if diff := cmp.Diff(want, r.IfMatch()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", header, diff)
		}
	}
}

// What is ours to mend is in the log, and nowhere else.
func TestServeHidesInternalErrors(t *testing.T) {
	const want = `{"type":"/docs/problems/internal","title":"Something failed that is ours to mend","status":500,"instance":"/caf%C3%A9","request_id":"R1"}`
	for name, handle := range map[string]Handler{
		"error": func(context.Context, *Request) (*Response, error) {
			return nil, errors.New("dial tcp 10.0.0.1: secret")
		},
		"panic":        func(context.Context, *Request) (*Response, error) { panic("secret") },
		"nil pointer":  func(_ context.Context, r *Request) (*Response, error) { return nil, (*fault.Error)(nil).Err },
		"out of range": func(_ context.Context, r *Request) (*Response, error) { return &Response{Status: int(r.Body[7])}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			before := slog.Default()
			slog.SetDefault(slog.New(slog.NewJSONHandler(&log, nil)))
			defer slog.SetDefault(before)
			serve(t, Operation{Name: "Broken", Allow: identity.Public(), Handle: handle}, sent{path: "/café"}).check(t, 500, want)
			var line struct {
				Level, Operation, Error string
				Status                  int
			}
			if err := json.Unmarshal(log.Bytes(), &line, json.MatchCaseInsensitiveNames(true)); err != nil {
				t.Fatal(err)
			}
			if line.Level != "ERROR" || line.Operation != "Broken" || line.Status != 500 || line.Error == "" {
				t.Errorf("got the line %s", log.String())
			}
		})
	}
}

// Where a service hangs, there is an answer before Lambda ends the function, whatever
// the error says by then; a failure with a kind stays what it is.
func TestServeAnswersInTime(t *testing.T) {
	const late = `{"type":"/docs/problems/unavailable","title":"The answer would take too long","status":503,` +
		`"detail":"a service that is needed does not answer; what was asked for may have happened all the same","instance":"/echo","request_id":"R1"}`
	for name, test := range map[string]struct {
		left time.Duration // of the function's time
		err  error
		want int
	}{
		"time is over":             {reserve, errors.New("canceled"), 503},
		"time is over, for a kind": {reserve, fault.New(fault.NotFound, "no such thing"), 404},
		"time is over, and done":   {reserve, nil, 200},
		"time is left":             {time.Hour, errors.New("refused"), 500},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), test.left)
			defer cancel()
			handle := func(ctx context.Context, _ *Request) (*Response, error) { return OK("done"), test.err }
			got := serveIn(ctx, t, Operation{Allow: identity.Public(), Handle: handle}, sent{path: "/echo"})
			if got.StatusCode != test.want {
				t.Errorf("got %d %s, want %d", got.StatusCode, got.Body, test.want)
			}
			if test.want == 503 && (got.Body != late || got.Headers["retry-after"] != "5") {
				t.Errorf("got %s, to be tried after %q", got.Body, got.Headers["retry-after"])
			}
		})
	}
}

// A log line holds neither bodies nor tokens nor queries.
func TestServeLogsNoSecrets(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&log, nil)))
	defer slog.SetDefault(before)
	for _, body := range []string{`{"name":"secret"}`, `{"name":"secret`, `{"nom":"secret"}`, `{"name":["secret"]}`, `secret`} {
		serve(t, echo(), sent{path: "/echo", query: "a=secret", body: body, headers: map[string]string{"authorization": "Bearer secret", "cookie": "secret"}})
	}
	if strings.Contains(log.String(), "secret") || strings.Count(log.String(), "\n") != 5 {
		t.Errorf("got %s", log.String())
	}
}

func TestServeRefusesWhatIsNoEvent(t *testing.T) {
	if _, err := Serve(echo()).Invoke(t.Context(), []byte(`[]`)); err == nil {
		t.Error("got no error")
	}
}

// Any body is read as a value that survives a round trip, or is a fault.
func FuzzDecode(f *testing.F) {
	for _, body := range []string{
		`{"name":"Acme","limits":{"max_agents":1},"meta_data":{"a":[1,null,"\u00e9"]},"sip_domain":null}`,
		`{"status":"active","id":"x","created_at":1,"sip_password":"secret"}`,
		`{"name":1,"limits":[]}`, `{"Name":""}`, `[]`, `{"meta_data":1e999}`, ``,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		in, faults, err := Decode[tenantPatch](&Request{Body: body, headers: map[string]string{"content-type": jsonType}})
		if err != nil {
			if kind := fault.KindOf(err); kind != fault.Malformed && kind != fault.Invalid && kind != fault.TooLarge {
				t.Errorf("got %v, which is no fault of the body", err)
			}
			return
		}
		if faults != nil {
			return
		}
		text := encoded(t, in)
		back, faults, err := Decode[tenantPatch](&Request{Body: text, headers: map[string]string{"content-type": jsonType}})
		if err != nil || faults != nil || !bytes.Equal(text, encoded(t, back)) {
			t.Errorf("%s became %s, %v, %v", text, encoded(t, back), faults, err)
		}
	})
}

// encoded writes what was read as a client would have.
func encoded(t *testing.T, v any) []byte {
	t.Helper()
	field := json.MarshalToFunc(func(e *jsontext.Encoder, field target) error { return json.MarshalEncode(e, field.Target()) })
	text, err := json.Marshal(v, json.WithMarshalers(field), json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
