package main

import (
	"encoding/json"
	"fmt"
	"strings"
)

// eventBytes is how large an event is, with the headers and the token that a
// browser sends.
const eventBytes = 7_600

// A request is an event, and the status that the answer must have: a function that
// fails fast is not measured for one that works.
type request struct {
	event  []byte
	status int
}

// get returns GET /tenants/{tenant_id} as API Gateway sends it.
func get(id, query string, status int) request {
	authorizer := map[string]any{"subject": "0199c1a2-0000-7c61-9d3e-5f0a8a1b2c3d", "tenant_id": tenantID, "role": "owner", "expires_at": 4_102_444_800}
	headers := map[string]any{
		"accept": "application/json, text/plain, */*", "accept-encoding": "gzip, deflate, br, zstd", "accept-language": "en-GB,en;q=0.9,de;q=0.8",
		"authorization": "Bearer " + strings.Repeat("eyJraWQiOiJ", 100), "content-length": "0", "host": "api.example.com",
		"origin": "https://console.example.com", "referer": "https://console.example.com/tenants", "sec-fetch-dest": "empty",
		"sec-fetch-mode": "cors", "sec-fetch-site": "same-site", "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
		"x-amzn-trace-id": "Root=1-68e2b1a4-5f0a8a1b2c3d4e5f60718293", "x-forwarded-for": "203.0.113.7", "x-forwarded-port": "443", "x-forwarded-proto": "https",
	}
	e := map[string]any{
		"version": "2.0", "routeKey": "GET /tenants/{tenant_id}", "rawPath": "/tenants/" + id, "rawQueryString": query,
		"headers": headers, "pathParameters": map[string]any{"tenant_id": id}, "isBase64Encoded": false,
		"requestContext": map[string]any{
			"accountId": "123456789012", "apiId": "a1b2c3d4e5", "domainName": "api.example.com", "domainPrefix": "api",
			"authorizer": map[string]any{"lambda": authorizer}, "requestId": "JKJaXmPLvHcESHA=", "routeKey": "GET /tenants/{tenant_id}", "stage": "$default",
			"http": map[string]any{"method": "GET", "path": "/tenants/" + id, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7", "userAgent": headers["user-agent"]},
			"time": "05/Oct/2026:17:58:12 +0000", "timeEpoch": 1_790_000_000_000,
		},
	}
	var cookies []string
	for text := encode(e); len(text) < eventBytes; text = encode(e) {
		cookies = append(cookies, fmt.Sprintf("cookie%d=%s", len(cookies), strings.Repeat("c", min(200, eventBytes-len(text)))))
		e["cookies"] = cookies
	}
	return request{encode(e), status}
}

func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // of maps, strings and numbers
	}
	return text
}
