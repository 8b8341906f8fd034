package awsjson_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tenantry/tenantry/infra/local/cloud/awsjson"
)

func TestScope(t *testing.T) {
	for name, test := range map[string]struct{ header, key, region, service string }{
		"signed":           {"AWS4-HMAC-SHA256 Credential=AKIA/20260101/eu-west-1/states/aws4_request, SignedHeaders=host, Signature=0", "AKIA", "eu-west-1", "states"},
		"by ourselves":     {awsjson.Authorization("us-east-1", "kms"), "local", "us-east-1", "kms"},
		"a key with slash": {"AWS4-HMAC-SHA256 Credential=a/b/20260101/us-east-1/sts/aws4_request,SignedHeaders=host", "a/b", "us-east-1", "sts"},
		"not signed":       {"", "", "", ""},
		"another scheme":   {"Bearer abc", "", "", ""},
		"too short":        {"AWS4-HMAC-SHA256 Credential=AKIA", "", "", ""},
	} {
		h := http.Header{"Authorization": {test.header}}
		region, service := awsjson.Scope(h)
		if region != test.region || service != test.service {
			t.Errorf("%s: got %q and %q, want %q and %q", name, region, service, test.region, test.service)
		}
		if key := awsjson.KeyID(h); key != test.key {
			t.Errorf("%s: got key %q, want %q", name, key, test.key)
		}
	}
}

func TestWriteError(t *testing.T) {
	for name, test := range map[string]struct {
		err    error
		status int
		code   string
		body   string
	}{
		"refusal": {awsjson.Errorf("NotAuthorizedException", "no %s", "entry"), 400, "NotAuthorizedException", `{"__type":"NotAuthorizedException","message":"no entry"}`},
		"wrapped": {fmt.Errorf("sign in: %w", awsjson.Errorf("X", "no")), 400, "X", `{"__type":"X","message":"no"}`},
		"failure": {errors.New("broken"), 500, "InternalFailure", `{"__type":"InternalFailure","message":"broken"}`},
	} {
		w := httptest.NewRecorder()
		awsjson.WriteError(w, test.err)
		if w.Code != test.status || w.Header().Get("X-Amzn-Errortype") != test.code || w.Body.String() != test.body {
			t.Errorf("%s: got %d %s %s, want %d %s %s", name, w.Code, w.Header().Get("X-Amzn-Errortype"), w.Body, test.status, test.code, test.body)
		}
		if w.Header().Get("X-Amz-Crc32") == "" || w.Header().Get("X-Amzn-Requestid") == "" {
			t.Errorf("%s: got headers %v, want a checksum and a request ID", name, w.Header())
		}
	}
}

func TestDecodeError(t *testing.T) {
	for name, test := range map[string]struct{ body, want string }{
		"plain":     {`{"__type":"X","message":"no"}`, "X: no"},
		"with name": {`{"__type":"com.amazonaws#X","message":"no"}`, "X: no"},
		"a page":    {`<html>`, "InternalFailure: the engine answered 400: <html>"},
	} {
		if got := awsjson.DecodeError(400, []byte(test.body)).Error(); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
}
