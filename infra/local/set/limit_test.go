package set

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
)

// longWindow returns a number of seconds whose present window goes on for longer
// than a test.
func longWindow() time.Duration {
	for window := time.Hour; ; window -= 100 * time.Second {
		if now := time.Now(); now.Truncate(window).Add(window).Sub(now) > 10*time.Minute {
			return window
		}
	}
}

// TestLimits is about the limits on attempts, which make local sets out of reach.
func TestLimits(t *testing.T) {
	window := longWindow()
	s := startOwn(t, map[string]string{
		"AuthAddressLimit": "10", "AuthAccountLimit": "4", "AuthLimitSeconds": strconv.Itoa(int(window.Seconds())),
	})
	c := newClient(t, s)
	_, username, email, password := c.signUp()
	signIn := func(name, password string) *answer {
		return c.do("POST", "/auth/token", map[string]any{"username": name, "password": password})
	}

	// Two of four from one address, whether there is such an account or not.
	refusals := map[string]map[string]any{}
	for _, name := range []string{username, "nobody"} {
		signIn(name, "wrong").problem(401, "invalid-credentials")
		signIn(strings.ToUpper(name), "wrong").problem(401, "invalid-credentials")
		refused := signIn(name, password).problem(429, "too-many-requests")
		after, err := strconv.Atoi(refused.Header.Get("Retry-After"))
		if end := time.Now().Truncate(window).Add(window); err != nil || after < 1 || time.Until(end) > time.Duration(after)*time.Second || after > int(window.Seconds()) {
			t.Errorf("Retry-After is %q, and the window ends at %v", refused.Header.Get("Retry-After"), end)
		}
		delete(refused.Body, "request_id")
		refusals[name] = refused.Body
	}
	if diff := cmp.Diff(refusals[username], refusals["nobody"]); diff != "" {
		t.Errorf("the refusals tell of the account:\n%s", diff)
	}

	// What one operation refuses, another does not, and ten of one address are all.
	c.do("POST", "/auth/password/forgot", map[string]any{"username": email}).must(202)
	admin := c.admin()
	c.do("POST", "/auth/refresh", map[string]any{"refresh_token": "any.thing"}).problem(401, "token-invalid")
	for path, body := range map[string]map[string]any{
		"/auth/token":                    {"username": "another", "password": "wrong"},
		"/auth/refresh":                  {"refresh_token": "any.thing"},
		"/auth/signup":                   {"username": "another", "email": "another@example.com", "password": "correct horse"},
		"/auth/confirm":                  {"username": "another", "code": "123456"},
		"/auth/confirm/resend":           {"username": "another"},
		"/auth/password/forgot":          {"username": "another"},
		"/auth/password/reset":           {"username": "another", "code": "123456", "new_password": "correct horse"},
		"/auth/password/change as admin": {"old_password": "correct horse", "new_password": "battery staple"},
	} {
		caller := c
		path, as, _ := strings.Cut(path, " as ")
		if as != "" {
			caller = admin
		}
		caller.do("POST", path, body).problem(429, "too-many-requests")
	}
	admin.do("GET", "/auth/me", nil).must(200)
	admin.do("POST", "/auth/logout", nil).must(204)

	checkNobodyShows(t, s.Info().Table, dynamodb.NewFromConfig(awsConfig(s)), username, email, "127.0.0.1")
	logs, err := filepath.Glob(filepath.Join(dataOf(s), "logs", "auth-*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("got the logs %v, %v", logs, err)
	}
	for _, name := range logs {
		text, err := os.ReadFile(name) //nolint:gosec // our own log
		if err != nil || strings.Contains(string(text), email) {
			t.Errorf("%s shows an e-mail address, or %v", name, err)
		}
	}
}

// checkNobodyShows sees to it that the counts of attempts hold none of the words,
// and that they go with time.
func checkNobodyShows(t *testing.T, table string, db *dynamodb.Client, words ...string) {
	t.Helper()
	found := 0
	for pages := dynamodb.NewScanPaginator(db, &dynamodb.ScanInput{TableName: &table}); pages.HasMorePages(); {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			pk := item["pk"].(*types.AttributeValueMemberS).Value
			if !strings.HasPrefix(pk, "ATTEMPT#") {
				continue
			}
			found++
			for _, word := range words {
				if strings.Contains(pk, word) {
					t.Errorf("%s holds %s", pk, word)
				}
			}
			if _, expires := item["expires_at"].(*types.AttributeValueMemberN); !expires || len(item) != 4 {
				t.Errorf("%s is kept as %v", pk, item)
			}
		}
	}
	if found == 0 {
		t.Error("nothing was counted")
	}
}
