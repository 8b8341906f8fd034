package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

// A record keeps what was answered to what.
type record struct {
	mu     sync.Mutex
	took   map[outcome][]time.Duration
	errors []string // of answers that were not due
	failed int      // how many of those there were
	total  int
}

// An outcome is a route and a status; 0 for none.
type outcome struct {
	route  string
	status int
}

func newRecord() *record { return &record{took: map[outcome][]time.Duration{}} }

// add records an answer, and what is wrong with it, if anything.
func (r *record) add(o outcome, took time.Duration, wrong string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total++
	r.took[o] = append(r.took[o], took)
	if wrong == "" {
		return
	}
	const kept = 20
	if r.failed++; len(r.errors) < kept {
		r.errors = append(r.errors, fmt.Sprintf("%s: %d %s", o.route, o.status, wrong))
	}
}

// counts returns how many answers there were, and how many that were not due.
func (r *record) counts() (total, failed int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total, r.failed
}

// wrong returns what was wrong with answers.
func (r *record) wrong() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == 0 {
		return nil
	}
	return append([]string{fmt.Sprintf("%d answers were not due", r.failed)}, r.errors...)
}

// table writes all outcomes.
func (r *record) table(out io.Writer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprint(w, "\nroute\tstatus\trequests\tp50 ms\tp99 ms\tmax ms\t\n")
	row := func(route string, status any, took []time.Duration) {
		slices.Sort(took)
		_, _ = fmt.Fprintf(w, "%s\t%v\t%d\t%.1f\t%.1f\t%.1f\t\n", route, status, len(took),
			milliseconds(quantile(took, 50)), milliseconds(quantile(took, 99)), milliseconds(took[len(took)-1]))
	}
	var all []time.Duration
	for _, o := range slices.SortedFunc(maps.Keys(r.took), func(a, b outcome) int {
		return cmp.Or(cmp.Compare(a.route, b.route), cmp.Compare(a.status, b.status))
	}) {
		row(o.route, o.status, r.took[o])
		all = append(all, r.took[o]...)
	}
	if len(all) > 0 {
		row("all", "", all)
	}
	_ = w.Flush()
}

// quantile returns a percentile of what is sorted.
func quantile(sorted []time.Duration, percent int) time.Duration {
	return sorted[min(len(sorted)-1, len(sorted)*percent/100)]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
