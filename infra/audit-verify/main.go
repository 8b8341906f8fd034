// Command audit-verify checks exports of the audit, offline.
package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/tenantry/tenantry/internal/trail"
)

const usage = `Usage: audit-verify [-key public.pem] [-partial] FILE.csv [FILE2.csv ...]

Checks an export of the audit of one tenant, or of the platform: that no record
was changed, added, taken away or moved since it was sealed. It needs nothing but
the files: the pages of the export, newest first, as GET /audit-events gives them
with "Accept: text/csv". docs/audit.md tells what it checks, and what it cannot.
Records that are not sealed yet are counted, and nobody vouches for them: neither
for what they hold, nor that they are all there. Export again a few minutes later
to have them sealed; where nothing is, it cannot tell. A record that is sealed behind the head, which is what was
signed, makes an export bad.

  -key public.pem  The public key that must have signed the export, as
                     aws kms get-public-key --key-id ARN --query PublicKey --output text |
                       base64 -d | openssl pkey -pubin -inform DER -out public.pem
                   gives it. Without it the export is checked with the key that it
                   carries; compare the fingerprint with that of your key:
                     openssl pkey -pubin -in public.pem -outform DER | sha256sum
  -partial         Take an export that does not begin with the first record (as
                   with from), does not reach the newest (as with to), or has no
                   head (as with actor or action, or that of all tenants). What is
                   missing at its ends, or without a head anywhere, is then not
                   noticed.

Prints one line and exits with 0 if all is good, names the first bad row and exits
with 1 if it is not, and exits with 2 if it cannot tell. (go run exits with 1 for 2.)
`

// The exit codes.
const (
	good = iota
	bad
	unknown
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, out, log io.Writer) int {
	flags := flag.NewFlagSet("audit-verify", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	keyFile := flags.String("key", "", "")
	partial := flags.Bool("partial", false, "")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprint(out, usage)
		return good
	}
	if err == nil && flags.NArg() == 0 {
		err = errors.New("name the files of the export")
	}
	if err != nil {
		_, _ = fmt.Fprintf(log, "audit-verify: %v\n\n%s", err, usage)
		return unknown
	}
	report, err := verify(flags.Args(), *keyFile, *partial)
	if _, wrong := errors.AsType[*trail.Fault](err); wrong {
		_, _ = fmt.Fprintf(out, "bad: %v\n", err)
		return bad
	}
	if err != nil {
		_, _ = fmt.Fprintf(log, "audit-verify: %v\n", err)
		return unknown
	}
	_, _ = fmt.Fprintln(out, describe(report, *keyFile))
	return good
}

func verify(names []string, keyFile string, partial bool) (trail.Report, error) {
	o := trail.Options{Partial: partial}
	if keyFile != "" {
		var err error
		if o.Key, err = readKey(keyFile); err != nil {
			return trail.Report{}, err
		}
	}
	var files []trail.File
	for _, name := range names {
		f, err := os.Open(name) //nolint:gosec // whoever calls says which
		if err != nil {
			return trail.Report{}, err
		}
		defer f.Close() //nolint:errcheck // it is only read
		files = append(files, trail.File{Name: name, Data: f})
	}
	return trail.Verify(files, o)
}

// readKey returns the public key in a PEM file, in DER.
func readKey(name string) ([]byte, error) {
	text, err := os.ReadFile(name) //nolint:gosec // whoever calls says which
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, fmt.Errorf("%s holds no public key in PEM", name)
	}
	key, err := trail.ParseKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return x509.MarshalPKIXPublicKey(key) // in the form that KMS gives
}

// describe tells what was checked, in one line.
func describe(r trail.Report, keyFile string) string {
	unsealed := "not sealed yet"
	if r.Unsealed > 0 {
		unsealed += ", which nobody vouches for"
	}
	if r.Head == nil {
		return fmt.Sprintf("good as far as it goes: %d records, %d of them %s; without a head nobody can tell whether some are missing", r.Records, r.Unsealed, unsealed)
	}
	text := fmt.Sprintf("good: the audit of %s, seq %d to %d, and %d records that are %s; its head is seq %d, sealed at %s, and signed by the key %s",
		r.Head.Stream, r.First, r.Last, r.Unsealed, unsealed, r.Head.Seq, r.Head.SealedAt.Format("2006-01-02T15:04:05.000Z"), trail.Fingerprint(r.Head.PublicKey))
	if keyFile != "" {
		return text + ", which is that in " + keyFile
	}
	return text + ", which the file says itself: compare it with that of your key, or give -key"
}
