package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/infra/local/gateway"
	"github.com/tenantry/tenantry/infra/local/lambda"
)

// An invokerFunc stands for all functions.
type invokerFunc func(ctx context.Context, name string, payload []byte) (lambda.Result, error)

func (f invokerFunc) Invoke(ctx context.Context, name string, payload []byte) (lambda.Result, error) {
	return f(ctx, name, payload)
}

// answers returns an invoker whose functions all answer the same.
func answers(payload string) invokerFunc {
	return func(context.Context, string, []byte) (lambda.Result, error) {
		return lambda.Result{Payload: []byte(payload)}, nil
	}
}

// open returns a Gateway that is quiet about what its functions do wrong.
func open(tb testing.TB, o gateway.Options) *gateway.Gateway {
	tb.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	g, err := gateway.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

func send(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

var requestIDs = regexp.MustCompile(`^[\w-]{15}=$`)

func TestRouteSelection(t *testing.T) {
	var routes []gateway.Route
	for _, key := range []string{
		"GET /", "GET /pets", "POST /pets", "ANY /pets", "GET /pets/{id}", "GET /pets/dog", "ANY /pets/dog",
		"DELETE /pets/{id}/toys/{toy}", "GET /pets/{path+}", "ANY /{all+}", "GET /docs/{path+}", "GET /docs/{name}/raw", "GET /{kind}/list",
	} {
		method, path, _ := strings.Cut(key, " ")
		routes = append(routes, gateway.Route{Method: method, Path: path, Function: key, Public: true})
	}
	withDefault := slices.Concat(routes, []gateway.Route{{Path: "$default", Function: "$default", Public: true}})

	var routed struct {
		RouteKey       string
		PathParameters map[string]string
	}
	invoker := invokerFunc(func(_ context.Context, name string, payload []byte) (lambda.Result, error) {
		err := json.Unmarshal(payload, &routed)
		if name != routed.RouteKey {
			t.Errorf("got route key %s for function %s", routed.RouteKey, name)
		}
		return lambda.Result{Payload: []byte(`{"statusCode":200}`)}, err
	})
	for request, test := range map[string]struct {
		want   string
		params map[string]string
	}{
		"GET /":                    {"GET /", nil},
		"GET /pets":                {"GET /pets", nil},
		"DELETE /pets":             {"ANY /pets", nil},
		"HEAD /pets":               {"ANY /pets", nil},
		"GET /pets/":               {"ANY /{all+}", map[string]string{"all": "pets/"}},
		"GET /pets/dog":            {"GET /pets/dog", nil},
		"PUT /pets/dog":            {"ANY /pets/dog", nil},
		"GET /pets/a%20b":          {"GET /pets/{id}", map[string]string{"id": "a b"}},
		"GET /pets/a%2Fb":          {"GET /pets/{id}", map[string]string{"id": "a/b"}},
		"PUT /pets/cat":            {"ANY /{all+}", map[string]string{"all": "pets/cat"}},
		"GET /pets/dog/1":          {"GET /pets/{path+}", map[string]string{"path": "dog/1"}},
		"DELETE /pets/1/toys/ball": {"DELETE /pets/{id}/toys/{toy}", map[string]string{"id": "1", "toy": "ball"}},
		"GET /docs/a/b%20c/d":      {"GET /docs/{path+}", map[string]string{"path": "a/b c/d"}},
		"GET /docs/a/raw":          {"GET /docs/{name}/raw", map[string]string{"name": "a"}},
		"GET /docs/list":           {"GET /{kind}/list", map[string]string{"kind": "docs"}},
		"POST /docs/a":             {"ANY /{all+}", map[string]string{"all": "docs/a"}},
		"GET /other":               {"ANY /{all+}", map[string]string{"all": "other"}},
		"POST /":                   {"$default", nil},
		"OPTIONS /":                {"$default", nil},
	} {
		t.Run(request, func(t *testing.T) {
			method, target, _ := strings.Cut(request, " ")
			routed.RouteKey, routed.PathParameters = "", nil
			w := send(open(t, gateway.Options{Routes: withDefault, Invoker: invoker}), httptest.NewRequest(method, target, nil))
			if w.Code != http.StatusOK || routed.RouteKey != test.want {
				t.Errorf("got %d by %s, want %s", w.Code, routed.RouteKey, test.want)
			}
			if diff := cmp.Diff(test.params, routed.PathParameters); diff != "" {
				t.Error(diff)
			}
			if test.want != "$default" {
				return
			}
			w = send(open(t, gateway.Options{Routes: routes, Invoker: invoker}), httptest.NewRequest(method, target, nil))
			if got, want := w.Body.String(), `{"message":"Not Found"}`; w.Code != http.StatusNotFound || got != want {
				t.Errorf("without $default: got %d %s, want 404 %s", w.Code, got, want)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	for name, routes := range map[string][]gateway.Route{
		"two of a kind":           {{Method: "GET", Path: "/a/{b}", Public: true}, {Method: "GET", Path: "/a/{c}", Public: true}},
		"two defaults":            {{Path: "$default", Public: true}, {Path: "$default", Public: true}},
		"no method":               {{Path: "/a", Public: true}},
		"unknown method":          {{Method: "get", Path: "/a", Public: true}},
		"no slash":                {{Method: "GET", Path: "a", Public: true}},
		"greedy before the end":   {{Method: "GET", Path: "/{a+}/b", Public: true}},
		"variable within a text":  {{Method: "GET", Path: "/a{b}", Public: true}},
		"no authorizer to ask at": {{Method: "GET", Path: "/a"}},
	} {
		if _, err := gateway.New(gateway.Options{Routes: routes}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestEvent compares all of an event.
func TestEvent(t *testing.T) {
	var got map[string]any
	g := open(t, gateway.Options{
		Routes:     []gateway.Route{{Method: "POST", Path: "/tenants/{id}", Function: "f"}},
		Authorizer: &gateway.Authorizer{Function: "a", Headers: []string{"Authorization"}},
		Invoker: invokerFunc(func(_ context.Context, name string, payload []byte) (lambda.Result, error) {
			if name == "a" {
				return lambda.Result{Payload: []byte(`{"isAuthorized":true,"context":{"role":"owner","n":1}}`)}, nil
			}
			return lambda.Result{Payload: []byte(`{"statusCode":200}`)}, json.Unmarshal(payload, &got)
		}),
	})
	r := httptest.NewRequest(http.MethodPost, "/tenants/caf%C3%A9?b=2&a=1&b=%203&c&d=%zz", strings.NewReader(`{"a":"<ü>"}`))
	r.Host = "localhost:3000"
	r.RemoteAddr = "127.0.0.1:5"
	r.Header = http.Header{
		"Authorization":   {"Bearer x"},
		"Content-Type":    {"application/json; charset=utf-8"},
		"Cookie":          {"one=1; two=2", "three=3"},
		"Connection":      {"keep-alive"},
		"User-Agent":      {"test"},
		"X-Many":          {"a", "b"},
		"X-Latin":         {"caf\xe9"},
		"X-Amzn-Trace-Id": {"Root=1-2-3"},
		"X-Forwarded-For": {"10.0.0.1"},
	}
	before := time.Now()
	w := send(g, r)
	if w.Code != http.StatusOK {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	if diff := cmp.Diff(map[string]any{
		"version":        "2.0",
		"routeKey":       "POST /tenants/{id}",
		"rawPath":        "/tenants/café",
		"rawQueryString": "b=2&a=1&b=%203&c&d=%zz",
		"cookies":        []any{"one=1", "two=2", "three=3"},
		"headers": map[string]any{
			"authorization":     "Bearer x",
			"content-length":    "12",
			"content-type":      "application/json; charset=utf-8",
			"host":              "localhost:3000",
			"user-agent":        "test",
			"x-amzn-trace-id":   "Root=1-2-3",
			"x-forwarded-for":   "10.0.0.1, 127.0.0.1",
			"x-forwarded-port":  "3000",
			"x-forwarded-proto": "http",
			"x-many":            "a,b",
			"x-latin":           "caf\ufffd",
		},
		"queryStringParameters": map[string]any{"a": "1", "b": "2, 3", "c": "", "d": "%zz"},
		"pathParameters":        map[string]any{"id": "café"},
		"requestContext": map[string]any{
			"accountId":    "123456789012",
			"apiId":        "local",
			"authorizer":   map[string]any{"lambda": map[string]any{"role": "owner", "n": 1.0}},
			"domainName":   "localhost:3000",
			"domainPrefix": "localhost:3000",
			"http": map[string]any{
				"method": "POST", "path": "/tenants/café", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "test",
			},
			"requestId": w.Header().Get("apigw-requestid"),
			"routeKey":  "POST /tenants/{id}",
			"stage":     "$default",
		},
		"body":            `{"a":"<ü>"}`,
		"isBase64Encoded": false,
	}, got, cmp.FilterPath(func(p cmp.Path) bool { return strings.Contains(p.Last().String(), `"time`) }, cmp.Ignore())); diff != "" {
		t.Error(diff)
	}
	requestContext := got["requestContext"].(map[string]any)
	at, err := time.Parse("02/Jan/2006:15:04:05 -0700", requestContext["time"].(string))
	if epoch := time.UnixMilli(int64(requestContext["timeEpoch"].(float64))); err != nil || !at.Equal(epoch.Truncate(time.Second)) || epoch.Sub(before).Abs() > time.Minute {
		t.Errorf("time: got %v and %v, %v", requestContext["time"], epoch, err)
	}
	if id := w.Header().Get("apigw-requestid"); !requestIDs.MatchString(id) {
		t.Errorf("request ID: got %q", id)
	}
}

// TestSmallEvent has nothing of what an event can do without.
func TestSmallEvent(t *testing.T) {
	var got map[string]any
	g := open(t, gateway.Options{
		Routes: []gateway.Route{{Path: "$default", Function: "f", Public: true}},
		Invoker: invokerFunc(func(_ context.Context, _ string, payload []byte) (lambda.Result, error) {
			return lambda.Result{Payload: []byte(`{"statusCode":200}`)}, json.Unmarshal(payload, &got)
		}),
	})
	send(g, httptest.NewRequest(http.MethodGet, "/", nil))
	for _, name := range []string{"cookies", "queryStringParameters", "pathParameters", "body"} {
		if value, ok := got[name]; ok {
			t.Errorf("%s: got %v, want none", name, value)
		}
	}
	if _, ok := got["requestContext"].(map[string]any)["authorizer"]; ok || got["isBase64Encoded"] != false || got["rawQueryString"] != "" {
		t.Errorf("got %v", got)
	}
}

func TestBodyEncoding(t *testing.T) {
	for contentType, test := range map[string]struct {
		body, want string
		encoded    bool
	}{
		"application/json":                  {`{}`, `{}`, false},
		"APPLICATION/JSON; charset=utf-8":   {`{}`, `{}`, false},
		"application/xml":                   {`<a/>`, `<a/>`, false},
		"application/javascript":            {`a`, `a`, false},
		"text/csv":                          {`a`, `a`, false},
		"text/plain; x":                     {`a`, `a`, false},
		"text/html":                         {"\xff", "/w==", true},
		"":                                  {`a`, `YQ==`, true},
		"/":                                 {`a`, `YQ==`, true},
		"application/problem+json":          {`{}`, `e30=`, true},
		"application/cloudevents+json":      {`{}`, `e30=`, true},
		"application/x-www-form-urlencoded": {`a`, `YQ==`, true},
		"application/octet-stream":          {`a`, `YQ==`, true},
	} {
		t.Run(contentType, func(t *testing.T) {
			var got struct {
				Body            string
				IsBase64Encoded bool
			}
			g := open(t, gateway.Options{
				Routes: []gateway.Route{{Path: "$default", Function: "f", Public: true}},
				Invoker: invokerFunc(func(_ context.Context, _ string, payload []byte) (lambda.Result, error) {
					return lambda.Result{Payload: []byte(`{"statusCode":200}`)}, json.Unmarshal(payload, &got)
				}),
			})
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(test.body))
			r.Header.Set("Content-Type", contentType)
			send(g, r)
			if got.Body != test.want || got.IsBase64Encoded != test.encoded {
				t.Errorf("got %+v, want %s, %t", got, test.want, test.encoded)
			}
		})
	}
}

func TestResponse(t *testing.T) {
	const internal = `{"message":"Internal Server Error"}`
	for name, test := range map[string]struct {
		payload string
		status  int
		header  http.Header // beside the request ID
		body    string
	}{
		"full": {
			`{"statusCode":201,"headers":{"content-type":"text/csv","x-a":"1","connection":"close","content-length":"9"},"cookies":["a=1","b=2"],"body":"hi"}`,
			201,
			http.Header{"Content-Type": {"text/csv"}, "X-A": {"1"}, "Set-Cookie": {"a=1", "b=2"}, "Content-Length": {"2"}},
			"hi",
		},
		"no content type": {`{"statusCode":200,"body":"hi"}`, 200, http.Header{"Content-Type": {"text/plain; charset=utf-8"}, "Content-Length": {"2"}}, "hi"},
		"base64": {
			`{"statusCode":200,"headers":{"content-type":"image/png"},"body":"AP8=","isBase64Encoded":true}`,
			200,
			http.Header{"Content-Type": {"image/png"}, "Content-Length": {"2"}},
			"\x00\xff",
		},
		"unknown members": {`{"statusCode":200,"multiValueHeaders":{"x":["y"]},"other":1}`, 200, http.Header{"Content-Type": {"text/plain; charset=utf-8"}, "Content-Length": {"0"}}, ""},
		"no content":      {`{"statusCode":204,"headers":{"etag":"x"}}`, 204, http.Header{"Etag": {"x"}}, ""},
		"not modified":    {`{"statusCode":304,"body":"ignored"}`, 304, http.Header{}, ""},
		"inferred object": {`{"message":"hi"}`, 200, http.Header{"Content-Type": {"application/json"}, "Content-Length": {"16"}}, `{"message":"hi"}`},
		"inferred string": {`"hi\n"`, 200, http.Header{"Content-Type": {"application/json"}, "Content-Length": {"3"}}, "hi\n"},
		"inferred array":  {`[1, 2]`, 200, http.Header{"Content-Type": {"application/json"}, "Content-Length": {"6"}}, `[1, 2]`},
		"not JSON":        {`hi`, 500, http.Header{"Content-Type": {"application/json"}}, internal},
		"empty":           {``, 500, http.Header{"Content-Type": {"application/json"}}, internal},
		"bad status":      {`{"statusCode":99}`, 500, http.Header{"Content-Type": {"application/json"}}, internal},
		"status no number": {
			`{"statusCode":"x","headers":{"x-a":"1"}}`, 500, http.Header{"Content-Type": {"application/json"}}, internal,
		},
		"bad body":   {`{"statusCode":200,"body":{}}`, 500, http.Header{"Content-Type": {"application/json"}}, internal},
		"bad base64": {`{"statusCode":200,"body":"%","isBase64Encoded":true}`, 500, http.Header{"Content-Type": {"application/json"}}, internal},
	} {
		t.Run(name, func(t *testing.T) {
			g := open(t, gateway.Options{
				Routes:  []gateway.Route{{Path: "$default", Function: "f", Public: true}},
				Invoker: answers(test.payload),
			})
			w := send(g, httptest.NewRequest(http.MethodGet, "/", nil))
			if w.Code != test.status || w.Body.String() != test.body {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, test.status, test.body)
			}
			got := w.Header().Clone()
			got.Del("Apigw-Requestid")
			if diff := cmp.Diff(test.header, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestIntegrationFailures(t *testing.T) {
	for name, test := range map[string]struct {
		invoker invokerFunc
		status  int
		body    string
	}{
		"function error": {
			func(context.Context, string, []byte) (lambda.Result, error) {
				return lambda.Result{Payload: []byte(`{"statusCode":200}`), FunctionError: "Unhandled"}, nil
			}, 500, `{"message":"Internal Server Error"}`,
		},
		"no function": {
			func(context.Context, string, []byte) (lambda.Result, error) {
				return lambda.Result{}, lambda.ErrNotFound
			},
			500, `{"message":"Internal Server Error"}`,
		},
		"event too large for Lambda": {
			func(context.Context, string, []byte) (lambda.Result, error) {
				return lambda.Result{}, lambda.ErrTooLarge
			},
			413, `{"message":"Request Entity Too Large"}`,
		},
		"too slow": {
			func(ctx context.Context, _ string, _ []byte) (lambda.Result, error) {
				<-ctx.Done()
				return lambda.Result{}, ctx.Err()
			}, 503, `{"message":"Service Unavailable"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := open(t, gateway.Options{Routes: []gateway.Route{{Path: "$default", Function: "f", Public: true}}, Invoker: test.invoker})
				start := time.Now()
				w := send(g, httptest.NewRequest(http.MethodGet, "/", nil))
				if w.Code != test.status || w.Body.String() != test.body {
					t.Errorf("got %d %s, want %d %s", w.Code, w.Body, test.status, test.body)
				}
				if took := time.Since(start); test.status == 503 && took != 30*time.Second {
					t.Errorf("took %v, want 30s", took)
				}
			})
		})
	}
}

func TestAuthorizer(t *testing.T) {
	for name, test := range map[string]struct {
		token  string
		answer string // of the authorizer
		err    error
		status int
		body   string
		asked  int32
	}{
		"allowed":            {"t", `{"isAuthorized":true,"context":{"a":["b"]}}`, nil, 200, `{"lambda":{"a":["b"]}}`, 1},
		"without a context":  {"t", `{"isAuthorized":true}`, nil, 200, `{"lambda":null}`, 1},
		"denied":             {"t", `{"isAuthorized":false}`, nil, 403, `{"message":"Forbidden"}`, 1},
		"no identity":        {"", ``, nil, 401, `{"message":"Unauthorized"}`, 0},
		"not JSON":           {"t", `x`, nil, 500, `{"message":"Internal Server Error"}`, 1},
		"no simple response": {"t", `{"policyDocument":{}}`, nil, 500, `{"message":"Internal Server Error"}`, 1},
		"failure":            {"t", ``, errors.New("no"), 500, `{"message":"Internal Server Error"}`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			g := open(t, gateway.Options{
				Routes:     []gateway.Route{{Method: "GET", Path: "/a/{b}", Function: "f"}},
				Authorizer: &gateway.Authorizer{Function: "auth", Headers: []string{"Authorization"}, TTL: time.Minute},
				Invoker: invokerFunc(func(_ context.Context, name string, payload []byte) (lambda.Result, error) {
					if name == "auth" {
						asked.Add(1)
						return lambda.Result{Payload: []byte(test.answer)}, test.err
					}
					var e struct {
						RequestContext struct{ Authorizer json.RawMessage }
					}
					err := json.Unmarshal(payload, &e)
					body, _ := json.Marshal(map[string]any{"statusCode": 200, "body": string(e.RequestContext.Authorizer)})
					return lambda.Result{Payload: body}, err
				}),
			})
			r := httptest.NewRequest(http.MethodGet, "/a/b", nil)
			if test.token != "" {
				r.Header.Set("Authorization", test.token)
			}
			w := send(g, r)
			if w.Code != test.status || w.Body.String() != test.body || asked.Load() != test.asked {
				t.Errorf("got %d %s, asked %d times, want %d %s, %d", w.Code, w.Body, asked.Load(), test.status, test.body, test.asked)
			}
		})
	}
}

func TestAuthorizerFunctionError(t *testing.T) {
	g := open(t, gateway.Options{
		Routes:     []gateway.Route{{Path: "$default", Function: "f"}},
		Authorizer: &gateway.Authorizer{Function: "auth"},
		Invoker: invokerFunc(func(context.Context, string, []byte) (lambda.Result, error) {
			return lambda.Result{Payload: []byte(`{"isAuthorized":true}`), FunctionError: "Unhandled"}, nil
		}),
	})
	if w := send(g, httptest.NewRequest(http.MethodGet, "/", nil)); w.Code != http.StatusInternalServerError {
		t.Errorf("got %d, want 500", w.Code)
	}
}

func TestAuthorizerEvent(t *testing.T) {
	var got map[string]any
	g := open(t, gateway.Options{
		Routes:     []gateway.Route{{Method: "ANY", Path: "/a/{b}", Function: "f"}},
		Authorizer: &gateway.Authorizer{Function: "auth", Headers: []string{"authorization", "x-two"}},
		Invoker: invokerFunc(func(_ context.Context, _ string, payload []byte) (lambda.Result, error) {
			return lambda.Result{Payload: []byte(`{"isAuthorized":false}`)}, json.Unmarshal(payload, &got)
		}),
	})
	r := httptest.NewRequest(http.MethodPut, "/a/b?c=d", strings.NewReader("body"))
	r.Header.Set("Authorization", "Bearer x")
	r.Header.Set("X-Two", "2")
	send(g, r)
	for _, name := range []string{"headers", "requestContext"} {
		if _, ok := got[name].(map[string]any); !ok {
			t.Errorf("there is no %s", name)
		}
		delete(got, name)
	}
	if diff := cmp.Diff(map[string]any{
		"version":               "2.0",
		"type":                  "REQUEST",
		"routeArn":              "arn:aws:execute-api:us-east-1:123456789012:local/$default/PUT/a/b",
		"identitySource":        []any{"Bearer x", "2"},
		"routeKey":              "ANY /a/{b}",
		"rawPath":               "/a/b",
		"rawQueryString":        "c=d",
		"queryStringParameters": map[string]any{"c": "d"},
		"pathParameters":        map[string]any{"b": "b"},
	}, got); diff != "" {
		t.Error(diff)
	}
}

// counting returns a Gateway whose authorizer allows everyone but "denied", fails
// while broken is set, and counts what it is asked.
func counting(t *testing.T, ttl time.Duration) (g *gateway.Gateway, asked *atomic.Int32, broken *atomic.Bool) {
	asked, broken = new(atomic.Int32), new(atomic.Bool)
	g = open(t, gateway.Options{
		Routes:     []gateway.Route{{Path: "$default", Function: "f"}},
		Authorizer: &gateway.Authorizer{Function: "auth", Headers: []string{"Authorization"}, TTL: ttl},
		Invoker: invokerFunc(func(_ context.Context, name string, payload []byte) (lambda.Result, error) {
			if name == "f" {
				return lambda.Result{Payload: []byte(`{"statusCode":200}`)}, nil
			}
			asked.Add(1)
			time.Sleep(5 * time.Millisecond) // of the bubble's time
			if broken.Load() {
				return lambda.Result{}, errors.New("broken")
			}
			if strings.Contains(string(payload), `"identitySource":["denied"]`) {
				return lambda.Result{Payload: []byte(`{"isAuthorized":false}`)}, nil
			}
			return lambda.Result{Payload: []byte(`{"isAuthorized":true}`)}, nil
		}),
	})
	return g, asked, broken
}

func get(ctx context.Context, g *gateway.Gateway, token string) int {
	r := httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx)
	r.Header.Set("Authorization", token)
	return send(g, r).Code
}

func TestAuthorizerCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, asked, broken := counting(t, time.Minute)
		step := func(what, token string, status int, want int32) {
			t.Helper()
			if got := get(t.Context(), g, token); got != status || asked.Load() != want {
				t.Errorf("%s: got %d, asked %d times in all, want %d, %d", what, got, asked.Load(), status, want)
			}
		}
		step("first", "a", 200, 1)
		step("again", "a", 200, 1)
		step("another", "b", 200, 2)
		step("denied", "denied", 403, 3)
		step("denied again", "denied", 403, 3)
		time.Sleep(time.Minute)
		step("after the TTL", "a", 200, 4)
		g.ResetAuthorizerCache()
		step("after a reset", "a", 200, 5)
		broken.Store(true)
		step("broken", "c", 500, 6)
		broken.Store(false)
		step("mended", "c", 200, 7)
	})
}

func TestAuthorizerWithoutCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, asked, _ := counting(t, 0)
		for range 3 {
			get(t.Context(), g, "a")
		}
		if asked.Load() != 3 {
			t.Errorf("asked %d times, want 3", asked.Load())
		}
	})
}

// TestAuthorizerAtOnce has many come with one token, and the first of them leave.
func TestAuthorizerAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, asked, _ := counting(t, time.Minute)
		ctx, leave := context.WithCancel(t.Context())
		go get(ctx, g, "a")
		synctest.Wait()
		leave()
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if got := get(t.Context(), g, "a"); got != http.StatusOK {
					t.Errorf("got %d, want 200", got)
				}
			})
		}
		wg.Wait()
		if asked.Load() != 1 {
			t.Errorf("asked %d times, want 1", asked.Load())
		}
	})
}

func TestAuthorizerTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := open(t, gateway.Options{
			Routes:     []gateway.Route{{Path: "$default", Function: "f"}},
			Authorizer: &gateway.Authorizer{Function: "auth", Headers: []string{"Authorization"}, TTL: time.Minute},
			Invoker: invokerFunc(func(ctx context.Context, _ string, _ []byte) (lambda.Result, error) {
				<-ctx.Done()
				return lambda.Result{}, ctx.Err()
			}),
		})
		start := time.Now()
		if got, took := get(t.Context(), g, "a"), time.Since(start); got != http.StatusInternalServerError || took != 10*time.Second {
			t.Errorf("got %d after %v, want 500 after 10s", got, took)
		}
	})
}

func TestCORS(t *testing.T) {
	cors := &gateway.CORS{
		AllowOrigins: []string{"https://app.example.com", "http://*"}, AllowMethods: []string{"GET", "POST"}, AllowHeaders: []string{"authorization"},
		ExposeHeaders: []string{"link", "etag"}, AllowCredentials: true, MaxAge: 5 * time.Minute,
	}
	preflight := map[string]string{"Origin": "https://app.example.com", "Access-Control-Request-Method": "GET"}
	for name, test := range map[string]struct {
		cors    *gateway.CORS
		request string
		header  map[string]string
		status  int
		want    http.Header // of Access-Control-*
	}{
		"preflight": {cors, "OPTIONS /a", preflight, 204, http.Header{
			"Access-Control-Allow-Origin": {"https://app.example.com"}, "Access-Control-Allow-Credentials": {"true"},
			"Access-Control-Allow-Methods": {"GET,POST"}, "Access-Control-Allow-Headers": {"authorization"}, "Access-Control-Max-Age": {"300"},
		}},
		"preflight from elsewhere": {cors, "OPTIONS /a", map[string]string{"Origin": "https://evil.example.com", "Access-Control-Request-Method": "GET"}, 204, http.Header{}},
		"preflight to a route":     {cors, "OPTIONS /any", map[string]string{"Origin": "https://evil.example.com", "Access-Control-Request-Method": "GET"}, 200, http.Header{}},
		"options":                  {cors, "OPTIONS /a", nil, 404, http.Header{}},
		"answer": {cors, "GET /a", map[string]string{"Origin": "http://localhost:8080"}, 200, http.Header{
			"Access-Control-Allow-Origin": {"http://localhost:8080"}, "Access-Control-Allow-Credentials": {"true"}, "Access-Control-Expose-Headers": {"link,etag"},
		}},
		"same origin":        {cors, "GET /a", nil, 200, http.Header{}},
		"any origin":         {&gateway.CORS{AllowOrigins: []string{"*"}}, "GET /a", map[string]string{"Origin": "null"}, 200, http.Header{"Access-Control-Allow-Origin": {"*"}}},
		"no CORS":            {nil, "GET /a", map[string]string{"Origin": "https://app.example.com"}, 200, http.Header{"Access-Control-Allow-Origin": {"the function's"}}},
		"no CORS, preflight": {nil, "OPTIONS /a", preflight, 404, http.Header{}},
	} {
		t.Run(name, func(t *testing.T) {
			g := open(t, gateway.Options{
				Routes:  []gateway.Route{{Method: "GET", Path: "/a", Function: "f", Public: true}, {Method: "ANY", Path: "/any", Function: "f", Public: true}},
				CORS:    test.cors,
				Invoker: answers(`{"statusCode":200,"headers":{"access-control-allow-origin":"the function's"}}`),
			})
			method, path, _ := strings.Cut(test.request, " ")
			r := httptest.NewRequest(method, path, nil)
			for key, value := range test.header {
				r.Header.Set(key, value)
			}
			w := send(g, r)
			got := http.Header{}
			for key, values := range w.Header() {
				if strings.HasPrefix(key, "Access-Control-") {
					got[key] = values
				}
			}
			if diff := cmp.Diff(test.want, got); w.Code != test.status || diff != "" {
				t.Errorf("got %d, want %d\n%s", w.Code, test.status, diff)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	server := httptest.NewServer(open(t, gateway.Options{
		Routes: []gateway.Route{{Method: "POST", Path: "/{a}", Function: "f", Public: true}},
		Invoker: invokerFunc(func(_ context.Context, _ string, payload []byte) (lambda.Result, error) {
			return lambda.Result{Payload: []byte(`{"statusCode":200}`)}, nil
		}),
	}))
	defer server.Close()
	// POST / HTTP/1.1, the host, and what Go's client sends of itself.
	own := len("POST / HTTP/1.1") + len(server.Listener.Addr().String()) + len("Go-http-client/1.1") + len("gzip")
	for name, test := range map[string]struct {
		path   int
		header int
		body   int
		chunks bool
		status int
		want   string
	}{
		"largest header": {1, 10240 - own - 1 - len("0"), 0, false, 200, ""},
		"header":         {1, 10240 - own - len("0"), 0, false, 431, `{"message":"Request Header Fields Too Large"}`},
		"request line":   {10240, 0, 0, false, 431, `{"message":"Request Header Fields Too Large"}`},
		"largest body":   {1, 0, 10 << 20, false, 200, ""},
		"body":           {1, 0, 10<<20 + 1, false, 413, `{"message":"Request Entity Too Large"}`},
		"chunked body":   {1, 0, 10<<20 + 1, true, 413, `{"message":"Request Entity Too Large"}`},
	} {
		t.Run(name, func(t *testing.T) {
			var body io.Reader = strings.NewReader(strings.Repeat("x", test.body))
			if test.chunks {
				body = bufio.NewReader(body)
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/"+strings.Repeat("p", test.path), body)
			if err != nil {
				t.Fatal(err)
			}
			if test.header > 0 {
				req.Header.Set("X-Long", strings.Repeat("h", test.header))
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close() //nolint:errcheck // it has been read
			got, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != test.status || string(got) != test.want {
				t.Errorf("got %d %s, %v, want %d %s", resp.StatusCode, got, err, test.status, test.want)
			}
		})
	}
}

// TestKeepAlive sends requests of several kinds over one connection.
func TestKeepAlive(t *testing.T) {
	server := httptest.NewServer(open(t, gateway.Options{
		Routes:  []gateway.Route{{Method: "ANY", Path: "/a", Function: "f", Public: true}},
		Invoker: answers(`{"statusCode":200,"headers":{"connection":"close"},"body":"hi"}`),
	}))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // the test is over
	answers := bufio.NewReader(conn)
	for _, request := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/a", 200, "hi"},
		{"HEAD", "/a", 200, ""},
		{"OPTIONS", "/a", 200, "hi"},
		{"GET", "/b", 404, `{"message":"Not Found"}`},
		{"POST", "/a", 200, "hi"},
	} {
		if _, err := io.WriteString(conn, request.method+" "+request.path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(answers, &http.Request{Method: request.method})
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.Body.Close() != nil || resp.StatusCode != request.status || string(body) != request.body || resp.Close {
			t.Errorf("%s %s: got %d %s, %v, closing %t", request.method, request.path, resp.StatusCode, body, err, resp.Close)
		}
	}
}

// TestFunction puts a compiled function behind the Gateway, and sees the event
// with aws-lambda-go's eyes.
func TestFunction(t *testing.T) {
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-tags=lambda.norpc", "-o", dir, "./testdata/echo") //nolint:gosec // the path is ours
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	functions, err := lambda.New(lambda.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer functions.Close() //nolint:errcheck // the test is over
	if err := functions.Register(lambda.Function{Name: "echo", Binary: filepath.Join(dir, "echo")}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(open(t, gateway.Options{
		Routes:  []gateway.Route{{Method: "PUT", Path: "/a/{b}", Function: "echo", Public: true}},
		Invoker: functions,
	}))
	defer server.Close()

	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL+"/a/x%20y?q=1&q=2", strings.NewReader(`{"c":1}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // it has been read
	var e events.APIGatewayV2HTTPRequest
	if err := json.NewDecoder(resp.Body).Decode(&e); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusCreated || len(resp.Header.Values("Set-Cookie")) != 2 {
		t.Errorf("got %d, cookies %v", resp.StatusCode, resp.Header.Values("Set-Cookie"))
	}
	if e.Body != `{"c":1}` || e.PathParameters["b"] != "x y" || e.QueryStringParameters["q"] != "1,2" || e.RequestContext.HTTP.Method != "PUT" ||
		e.RequestContext.RequestID != resp.Header.Get("Apigw-Requestid") || e.Headers["content-type"] != "application/json" {
		t.Errorf("got %+v", e)
	}
}
