package attempt_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenantry/tenantry/internal/attempt"
	"github.com/tenantry/tenantry/internal/fault"
)

// counts counts in a map.
type counts map[string]int

func (c counts) Count(_ context.Context, k attempt.Key, w attempt.Window) (int, error) {
	if now := time.Now(); now.Before(w.Start) || !now.Before(w.End) {
		return 0, fmt.Errorf("the window %v to %v does not hold %v", w.Start, w.End, now)
	}
	name := string(k) + w.Start.String()
	c[name]++
	return c[name], nil
}

// admitted says of each attempt, one after the other, whether it is admitted.
func admitted(t *testing.T, l *attempt.Limits, attempts ...attempt.Attempt) string {
	t.Helper()
	var got strings.Builder
	for _, a := range attempts {
		err := l.Admit(t.Context(), a)
		switch {
		case err == nil:
			got.WriteString("+")
		case errors.Is(err, fault.TooManyRequests):
			got.WriteString("-")
		default:
			t.Fatal(err)
		}
	}
	return got.String()
}

func times(n int, a attempt.Attempt) []attempt.Attempt {
	var all []attempt.Attempt
	for range n {
		all = append(all, a)
	}
	return all
}

func TestAdmit(t *testing.T) {
	const here, there, elsewhere = "192.0.2.1", "192.0.2.2", "192.0.2.3"
	on := func(operation, address, account string) attempt.Attempt {
		return attempt.Attempt{Operation: operation, Address: address, Account: account}
	}
	rules := attempt.Rules{Address: 6, Account: 4, Window: time.Minute}
	for name, test := range map[string]struct {
		attempts []attempt.Attempt
		want     string
	}{
		"an address": {append(times(8, on("A", here, "")), on("A", there, "")), "++++++--+"},
		"an address over all operations": {
			append(append(times(3, on("A", here, "")), times(4, on("B", here, ""))...), on("A", there, "")),
			"++++++-+",
		},
		"an account from one address gets half":        {append(times(4, on("A", here, "ada")), times(3, on("A", there, "ada"))...), "++--++-"},
		"an account from many":                         {append(append(times(2, on("A", here, "ada")), times(2, on("A", there, "ada"))...), on("A", elsewhere, "ada")), "++++-"},
		"what one address is refused takes no others'": {append(times(6, on("A", here, "ada")), on("A", there, "ada")), "++----+"},
		"another account":                              {append(times(3, on("A", here, "ada")), on("A", here, "bob")), "++-+"},
		"another operation":                            {append(times(3, on("A", here, "ada")), on("B", here, "ada")), "++-+"},
		"upper case is no other account":               {[]attempt.Attempt{on("A", here, "ada"), on("A", here, "ADA"), on("A", here, "Ada")}, "++-"},
		"addresses of one subscriber": {
			append(times(5, on("A", "2001:db8::1", "")), on("A", "2001:db8::ffff:1", ""), on("A", "2001:db8::2", ""), on("A", "2001:db8:0:1::1", "")),
			"++++++-+",
		},
		"IPv4 in the form of IPv6": {append(times(6, on("A", here, "")), on("A", "::ffff:"+here, "")), "++++++-"},
		"no address":               {times(7, on("A", "", "")), "++++++-"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if got := admitted(t, attempt.NewLimits(counts{}, rules), test.attempts...); got != test.want {
					t.Errorf("got %s, want %s", got, test.want)
				}
			})
		})
	}
}

// Whoever is refused is told when the window ends, and nothing that tells of the
// account; then they are admitted again.
func TestAdmitAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := attempt.NewLimits(counts{}, attempt.Rules{Address: 100, Account: 2, Window: time.Minute})
		time.Sleep(10 * time.Second) // windows begin with the minute, as the test's clock does
		texts := map[string]bool{}
		for _, account := range []string{"ada", "nobody"} {
			a := attempt.Attempt{Operation: "A", Address: "192.0.2.1", Account: account}
			if got := admitted(t, l, times(2, a)...); got != "+-" {
				t.Fatalf("got %s", got)
			}
			err := l.Admit(t.Context(), a)
			refusal, ok := errors.AsType[*fault.Error](err)
			if !ok || refusal.RetryAfter != 50*time.Second {
				t.Errorf("got %#v", err)
			}
			texts[err.Error()] = true
		}
		if len(texts) != 1 {
			t.Errorf("they are told different things: %v", texts)
		}
		time.Sleep(50 * time.Second)
		if got := admitted(t, l, attempt.Attempt{Operation: "A", Address: "192.0.2.1", Account: "ada"}); got != "+" {
			t.Error("they are refused in the next window too")
		}
	})
}

// Nothing that is kept shows who tried.
func TestKeysShowNobody(t *testing.T) {
	c := counts{}
	if err := attempt.NewLimits(c, attempt.Rules{Address: 1, Account: 1, Window: time.Minute}).Admit(t.Context(), attempt.Attempt{Operation: "A", Address: "192.0.2.1", Account: "ada@example.com"}); err != nil {
		t.Fatal(err)
	}
	if len(c) != 3 {
		t.Errorf("there are %d counts, want 3", len(c))
	}
	for k := range c {
		if strings.Contains(k, "ada") || strings.Contains(k, "192") {
			t.Errorf("the key %s shows who tried", k)
		}
	}
}

type broken struct{}

var errDown = errors.New("the table is down")

func (broken) Count(context.Context, attempt.Key, attempt.Window) (int, error) { return 0, errDown }

func TestAdmitsNobodyUncounted(t *testing.T) {
	if err := attempt.NewLimits(broken{}, attempt.Rules{Address: 1, Account: 1, Window: time.Minute}).Admit(t.Context(), attempt.Attempt{}); !errors.Is(err, errDown) {
		t.Errorf("got %v", err)
	}
}
