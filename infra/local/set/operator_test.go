package set

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestStory runs the program that does the story against a stack.
func TestStory(t *testing.T) {
	c, story := newClient(t, common), tool(t, "story")
	admin := c.admin()
	out, err := story()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	steps := regexp.MustCompile(`(?m)^ok +[0-9]+\.[0-9]{3} s  (.*)$`).FindAllStringSubmatch(out, -1)
	if lines := strings.Count(out, "\n"); len(steps) != lines-1 || !strings.Contains(out, "The story of "+common.Info().APIURL+" took ") {
		t.Errorf("%d of %d lines are steps that went well:\n%s", len(steps), lines, out)
	}
	if strings.Contains(out, common.Info().Admin.Password) || strings.Contains(out, "tnk_") || strings.Contains(out, "eyJ") {
		t.Errorf("it shows a secret:\n%s", out)
	}
	for _, what := range []string{"somebody signs up, and gets a tenant: ", "the admin provisions a tenant: "} {
		_, rest, _ := strings.Cut(out, what)
		id, _, _ := strings.Cut(rest, "\n")
		if got := admin.do("GET", "/tenants/"+id, nil).must(200); got.Body["status"] != "deleting" {
			t.Errorf("the tenant %s is left: %s", id, got.Raw)
		}
	}
	eventually(t, "no key was left", func() bool { // the list is of an index, which lags
		return !slices.ContainsFunc(admin.do("GET", "/api-keys?limit=1000", nil).must(200).List, func(key map[string]any) bool {
			name, _ := key["name"].(string)
			return strings.HasPrefix(name, "story-")
		})
	})
}

func TestStoryThatFails(t *testing.T) {
	story := tool(t, "story")
	for name, test := range map[string]struct {
		env  []string
		want string
	}{
		"a wrong password":  {[]string{"ADMIN=" + common.Info().Admin.Username, "STORY_PASSWORD=wrong"}, "/docs/problems/invalid-credentials"},
		"no password":       {[]string{"ADMIN=" + common.Info().Admin.Username}, "was not given"},
		"nobody":            {[]string{"URL=" + common.Info().APIURL}, "say who is a platform admin"},
		"nothing there":     {[]string{"URL=http://127.0.0.1:1", "ADMIN=a", "STORY_PASSWORD=b"}, "FAIL"},
		"two stacks":        {[]string{"URL=http://127.0.0.1:1", "STACK=a"}, "give one"},
		"no set that runs":  {[]string{"DATA=/nowhere"}, "make local does not run"},
		"nobody but a user": {[]string{"ADMIN=nobody", "STORY_PASSWORD=b"}, "/docs/problems/invalid-credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			if out, err := story(test.env...); err == nil || !strings.Contains(out, test.want) {
				t.Errorf("it says %v\n%s", err, out)
			}
		})
	}
}
