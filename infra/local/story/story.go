// Package story runs the lines that the README tells people to paste, and checks
// what they show.
package story

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// A Set is one that runs, and that nobody has used yet.
type Set struct {
	APIURL      string
	AWSEndpoint string
	Data        string // its folder
}

// shown is what the story shows, in what order it may be.
var shown = []string{
	`"role":"owner"`, `"name":"Analytical Engines Ltd"`, `"billing_plan":"business"`, // sign up
	`"full_name":"Charles Babbage"`, `"role":"supervisor"`, `"disabled":true`, // people
	`"state":"succeeded"`, `"max_agents":250`, // provision
	`"language":"en-US"`, `"voice":"nova"`, `"sip_password":"`, `"SHA-256":"`, // agents and SIP
	`"call_id":"call-1"`, `"accepted":1`, `"monthly_usage_cents":42`, // calls and use
	`"status":"suspended"`,                            // update
	"\nsuspended\ncancelled\n",                        // delete and restore
	"\n403\n", `"mode":"read_only"`, "\n200\n\n401\n", // keys and impersonation
	`remove or rename the table`, `"attempt":2`, // fail, mend, retry
	"good: the audit of ", "and 0 records that are not sealed yet", // audit
}

// Run runs the story of the README in the folder root, and fails with all that it
// does not show.
func Run(ctx context.Context, root string, s Set) error {
	script, err := script(root)
	if err != nil {
		return err
	}
	variables, err := variables(s)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "bash", "-c", script) //nolint:gosec // our own README
	cmd.Dir = root
	cmd.Env = append(os.Environ(), variables...)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w\n%s\n%s", err, out.String(), log.String())
	}
	if err := check(out.String()); err != nil {
		return fmt.Errorf("%w\n%s", err, out.String())
	}
	return nil
}

// script is all the story's lines, of which none may fail.
func script(root string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, "README.md")) //nolint:gosec // our own
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("set -euo pipefail\n")
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		b.WriteString(block[1])
	}
	return b.String(), nil
}

// variables are those that tell the story where s is.
func variables(s Set) ([]string, error) {
	api, err := url.Parse(s.APIURL)
	if err != nil {
		return nil, err
	}
	aws, err := url.Parse(s.AWSEndpoint)
	if err != nil {
		return nil, err
	}
	return []string{"PORT=" + api.Port(), "AWS_PORT=" + aws.Port(), "DATA=" + s.Data}, nil
}

// check fails unless out is what the story shows.
func check(out string) error {
	var errs []error
	if strings.Contains(out, "/docs/problems/") {
		errs = append(errs, errors.New("a request of the README is refused"))
	}
	for _, want := range shown {
		if !strings.Contains(out, want) {
			errs = append(errs, fmt.Errorf("the story does not show %s", want))
		}
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	last := lines[max(0, len(lines)-3):]
	if len(last) != 3 || last[0] != last[1] || last[1] != last[2] {
		errs = append(errs, fmt.Errorf("one key gave %q", last))
	}
	return errors.Join(errs...)
}
