package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// maxOff is how far two copies of one function may seem to be apart. A run where
// they are further is void: the machine had something else to do.
const maxOff = 0.03

// A sizes says how much is measured.
type sizes struct {
	rounds, warm, starts, mixed, more, tries int
}

// median returns the middle of the values, which it sorts.
func median[T float64 | time.Duration](values []T) T {
	slices.Sort(values)
	return values[len(values)/2]
}

// A ratio is how two targets compare: the median of the rounds' ratios, and of
// their values.
type ratio struct {
	of           float64
	base, target time.Duration
}

// compare has both measured in turns, n times in each round.
func compare(rounds, n int, base, target func() (time.Duration, error)) (ratio, error) {
	var ratios []float64
	var bases, targets []time.Duration
	for range rounds {
		var of [2][]time.Duration
		for range n {
			for i, measure := range []func() (time.Duration, error){base, target} {
				took, err := measure()
				if err != nil {
					return ratio{}, err
				}
				of[i] = append(of[i], took)
			}
		}
		b, t := median(of[0]), median(of[1])
		ratios, bases, targets = append(ratios, float64(t)/float64(b)), append(bases, b), append(targets, t)
	}
	return ratio{median(ratios), median(bases), median(targets)}, nil
}

// valid compares a copy of base with it before and after what it returns, and tries
// again where they are too far apart. It returns how far, too.
func (s sizes) valid(starts int, base, copied, target func() (time.Duration, error)) (r ratio, off float64, err error) {
	for range s.tries {
		before, err := compare(s.rounds/2+1, starts, base, copied)
		if err != nil {
			return r, 0, err
		}
		if r, err = compare(s.rounds, starts, base, target); err != nil {
			return r, 0, err
		}
		after, err := compare(s.rounds/2+1, starts, base, copied)
		if err != nil {
			return r, 0, err
		}
		off = max(math.Abs(before.of-1), math.Abs(after.of-1))
		if off <= maxOff {
			break
		}
	}
	return r, off, nil
}

// starting measures how long a function takes to start.
func starting(t target) func() (time.Duration, error) {
	return func() (time.Duration, error) {
		p, err := start(t)
		if err != nil {
			return 0, err
		}
		p.stop()
		return p.init, nil
	}
}

// answering measures how long a function takes to start and to answer its first
// event.
func answering(t target, r request) func() (time.Duration, error) {
	return func() (time.Duration, error) {
		p, err := start(t)
		if err != nil {
			return 0, err
		}
		defer p.stop()
		took, err := p.invoke(r)
		return p.init + took, err
	}
}

// spending measures how much of a processor a running function needs for an event,
// by that of a hundred.
func spending(p *process, r request) func() (time.Duration, error) {
	const events = 100
	return func() (time.Duration, error) {
		before, err := p.used()
		if err != nil {
			return 0, err
		}
		for range events {
			if _, err := p.invoke(r); err != nil {
				return 0, err
			}
		}
		after, err := p.used()
		return (after - before) / events, err
	}
}

// tail returns the medians, over rounds, of the 50th and the 99th of a hundred parts
// of the times that events take, and of their ratio.
func tail(p *process, rounds, n int, r request) (p50, p99 time.Duration, of float64, err error) {
	var halves, tails []time.Duration
	var ratios []float64
	for range rounds {
		var took []time.Duration
		for range n {
			d, err := p.invoke(r)
			if err != nil {
				return 0, 0, 0, err
			}
			took = append(took, d)
		}
		slices.Sort(took)
		half, last := took[n/2], took[n*99/100]
		halves, tails, ratios = append(halves, half), append(tails, last), append(ratios, float64(last)/float64(half))
	}
	return median(halves), median(tails), median(ratios), nil
}

// grow returns the memory of a function after some events, and after more.
func grow(p *process, some, more int, requests []request) (first, last int64, err error) {
	for i := range some + more {
		if i == some {
			if first, err = p.resident(); err != nil {
				return 0, 0, err
			}
		}
		if _, err := p.invoke(requests[i%len(requests)]); err != nil {
			return 0, 0, err
		}
	}
	last, err = p.resident()
	return first, last, err
}

// A row is a line of the table.
type row struct {
	bar, what, measured, limit, verdict string
}

func (r row) String() string {
	return fmt.Sprintf("| %-1s | %-40s | %-26s | %-8s | %-6s |", r.bar, r.what, r.measured, r.limit, r.verdict)
}

// within says whether a bar was met.
func within(value, limit float64) string {
	if value <= limit {
		return "met"
	}
	return "missed"
}

// judged says so of a comparison, or that it says nothing.
func judged(r ratio, off, limit float64) string {
	if off > maxOff {
		return "void"
	}
	return within(r.of, limit)
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d.Microseconds())/1000) }

// compared is the row of a comparison.
func compared(bar, what string, r ratio, off, limit float64) row {
	return row{
		bar, what, fmt.Sprintf("%.2f× (%s/%s ms) ±%.0f%%", r.of, milliseconds(r.target), milliseconds(r.base), 100*off),
		fmt.Sprintf("≤ %.2f×", limit), judged(r, off, limit),
	}
}
