// Command bench measures how the functions start and answer, against the least
// that a function in Go can be, and says which bars of docs/performance.md are met.
// It runs from the root of the repository.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

func main() {
	var s sizes
	flag.IntVar(&s.rounds, "rounds", 21, "how often each comparison is made")
	flag.IntVar(&s.warm, "warm", 600, "events a round")
	flag.IntVar(&s.starts, "starts", 40, "starts a round")
	flag.IntVar(&s.mixed, "mixed", 10_000, "events until memory is looked at")
	flag.IntVar(&s.more, "more", 50_000, "events until it is looked at again")
	flag.IntVar(&s.tries, "tries", 3, "how often a comparison is tried that the rest of the machine spoils")
	only := flag.String("only", "12345", "the bars to measure")
	system := flag.String("authorities", "/etc/ssl/certs/ca-certificates.crt", "the system's list of certificate authorities")
	flag.Parse()
	if err := run(s, *only, *system); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// A bench is what all measurements need.
type bench struct {
	sizes
	dir   string
	env   []string // of every function
	plain string   // where the store is, without TLS
	tls   *secured
}

func run(s sizes, only, system string) error {
	dir, err := os.MkdirTemp("", "tenantry-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a folder for temporary files
	defer removeGroups()
	b, err := prepare(s, dir, system)
	if err != nil {
		return err
	}
	defer b.tls.Close()
	fmt.Printf("%s, %d cores, %s; %d rounds of %d events and %d starts\n\n", cmp.Or(model(), runtime.GOARCH), runtime.NumCPU(), runtime.Version(), s.rounds, s.warm, s.starts)
	fmt.Println(row{"#", "what", "measured", "bar", "is"})
	fmt.Println("|---|---|---|---|---|")
	for _, part := range []struct {
		bar     string
		measure func() ([]row, error)
	}{
		{"3", func() ([]row, error) { return zipped(dir) }},
		{"1", b.starts},
		{"2", b.firsts},
		{"4", b.path},
		{"5", b.steady},
	} {
		if !strings.Contains(only, part.bar) {
			continue
		}
		rows, err := part.measure()
		for _, r := range rows {
			fmt.Println(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// prepare builds what is measured, and starts what that talks to.
func prepare(s sizes, dir, system string) (*bench, error) {
	if runtime.NumCPU() < 2 {
		return nil, errors.New("the function and what it talks to need a core each")
	}
	packages := []string{"./infra/bench/hello", "./infra/bench/typed", "./infra/bench/plain", "./infra/bench/path", "./functions/tenant-get", "./functions/tenant-create"}
	if err := build(filepath.Join(dir, "bin"), runtime.GOARCH, packages...); err != nil {
		return nil, err
	}
	if err := keepAll(); err != nil {
		return nil, err
	}
	secured, err := secure(dir, "internal/boot/roots.pem", system)
	if err != nil {
		return nil, err
	}
	b := &bench{sizes: s, dir: dir, plain: httptest.NewServer(http.HandlerFunc(store)).URL, tls: secured}
	b.env = []string{
		"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY=none", "AWS_LAMBDA_FUNCTION_NAME=bench",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256", "AWS_LAMBDA_LOG_FORMAT=JSON", "TABLE_NAME=bench",
		"STACK_NAME=bench", "STATE_MACHINE_ARN=arn:aws:states:us-east-1:123456789012:stateMachine:bench", "HAS_MONGODB=false",
		"USER_POOL_ID=us-east-1_bench", "HASH_KEY_ARN=arn:aws:secretsmanager:us-east-1:123456789012:secret:bench",
	}
	return b, nil
}

// target returns a function that talks to the store without TLS, and so opens no
// connection when it starts.
func (b *bench) target(name string) (target, error) {
	binary, err := duplicate(filepath.Join(b.dir, "bin", name), filepath.Join(b.dir, fmt.Sprintf("%s-%d", name, time.Now().UnixNano())))
	return target{name: name, binary: binary, env: append(slices.Clip(b.env), "AWS_ENDPOINT_URL="+b.plain)}, err
}

// secured returns a function that talks to the store by TLS, and believes the
// authorities in a file that the variable names.
func (b *bench) secured(name string, s share, authorities ...string) (target, error) {
	t, err := b.target(name)
	t.env = append(append(slices.Clip(b.env), "AWS_ENDPOINT_URL="+b.tls.URL), authorities...)
	t.share = s
	return t, err
}

// targets returns several functions, without TLS.
func (b *bench) targets(names ...string) ([]target, error) {
	var all []target
	for _, name := range names {
		t, err := b.target(name)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// starts measures bar 1.
func (b *bench) starts() ([]row, error) {
	var rows []row
	for _, of := range []struct {
		function, what string
		warm, cold     float64
	}{
		{"tenant-get", "DynamoDB only", 1.8, 1.55},
		{"tenant-create", "four clients", 2.1, 1.75},
	} {
		for _, cold := range []bool{false, true} {
			all, err := b.targets("hello", "hello", of.function)
			if err != nil {
				return rows, err
			}
			pages, limit := "warm", of.warm
			if cold {
				pages, limit = "cold", of.cold
			}
			for i := range all {
				all[i].cold = cold
			}
			r, off, err := b.valid(b.sizes.starts, starting(all[0]), starting(all[1]), starting(all[2]))
			if err != nil {
				return rows, err
			}
			rows = append(rows, compared("1", fmt.Sprintf("init, %s, pages %s", of.what, pages), r, off, limit))
		}
	}
	primed, err := b.primed()
	return append(rows, primed), err
}

// primed measures what opening the connection adds to a start.
func (b *bench) primed() (row, error) {
	all, err := b.targets("tenant-get", "tenant-get")
	if err != nil {
		return row{}, err
	}
	t, err := b.secured("tenant-get", 0, "AWS_CA_BUNDLE="+b.tls.few)
	if err != nil {
		return row{}, err
	}
	r, off, err := b.valid(b.sizes.starts, starting(all[0]), starting(all[1]), starting(t))
	shown := compared("1", "init with priming, against without", r, off, 0)
	shown.limit, shown.verdict = "", ""
	return shown, err
}

// firsts measures bar 2, by a quarter of the starts, as those that it compares with
// are slow.
func (b *bench) firsts() ([]row, error) {
	var rows []row
	few, many := "AWS_CA_BUNDLE="+b.tls.few, []string{"SSL_CERT_FILE=" + b.tls.many, "SSL_CERT_DIR=" + b.dir + "/none"}
	for _, of := range []struct {
		share share
		mb    int
		limit float64
	}{{share512, 512, 0.25}, {share128, 128, 0.08}} {
		base, err := b.secured("plain", of.share, many...)
		if err != nil {
			return rows, err
		}
		copied, err := b.secured("plain", of.share, many...)
		if err != nil {
			return rows, err
		}
		t, err := b.secured("tenant-get", of.share, few)
		if err != nil {
			return rows, err
		}
		e := get(tenantID, "", http.StatusOK)
		r, off, err := b.valid(max(b.sizes.starts/4, 1), answering(base, e), answering(copied, e), answering(t, e))
		what := fmt.Sprintf("init and first answer, at %d MB", of.mb)
		if errors.Is(err, errNoShares) {
			rows = append(rows, row{"2", what, "no control groups here", fmt.Sprintf("≤ %.2f×", of.limit), "not"})
			continue
		}
		if err != nil {
			return rows, err
		}
		rows = append(rows, compared("2", what, r, off, of.limit))
	}
	return rows, nil
}

// path measures bar 4.
func (b *bench) path() ([]row, error) {
	all, err := b.targets("typed", "typed", "path")
	if err != nil {
		return nil, err
	}
	e := get(tenantID, "", http.StatusOK)
	var running []func() (time.Duration, error)
	for _, t := range all {
		p, err := start(t)
		if err != nil {
			return nil, err
		}
		defer p.stop()
		spend := spending(p, e)
		for range 10 { // until the heap has its size
			if _, err := spend(); err != nil {
				return nil, err
			}
		}
		running = append(running, spend)
	}
	r, off, err := b.valid(max(b.warm/100, 1), running[0], running[1], running[2])
	return []row{compared("4", "CPU of a request, without storage", r, off, 0.85)}, err
}

// steady measures bar 5.
func (b *bench) steady() ([]row, error) {
	const tailLimit, mb, growth = 4, 20, 1
	t, err := b.target("tenant-get")
	if err != nil {
		return nil, err
	}
	p, err := start(t)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	mixed := []request{
		get(tenantID, "", http.StatusOK), get(noTenant, "", http.StatusNotFound), get("none", "", http.StatusNotFound),
		get(tenantID, "unknown=1", http.StatusBadRequest), get(tenantID, "%zz", http.StatusBadRequest),
	}
	p50, p99, of, err := tail(p, b.rounds, b.warm, mixed[0])
	if err != nil {
		return nil, err
	}
	first, last, err := grow(p, b.mixed, b.more, mixed)
	after, grown := float64(first)/(1<<20), float64(last-first)/(1<<20)
	return []row{
		{"5", "p99 of p50", fmt.Sprintf("%.2f× (%s/%s ms)", of, milliseconds(p99), milliseconds(p50)), "≤ 4.00×", within(of, tailLimit)},
		{"5", fmt.Sprintf("memory after %d events", b.mixed), fmt.Sprintf("%.1f MiB", after), "≤ 20 MB", within(float64(first)/1e6, mb)},
		{"5", fmt.Sprintf("growth by %d more", b.more), fmt.Sprintf("%.2f MiB", grown), "< 1 MB", within(float64(last-first)/1e6, growth)},
	}, err
}

// model returns the name of the processor, if the system tells.
func model() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	_, after, _ := strings.Cut(string(text), "model name\t: ")
	name, _, _ := strings.Cut(after, "\n")
	return name
}
