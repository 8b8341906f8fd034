// Package attempt bounds how often somebody may try what asks for a password or a
// code, or sends a mail: by the address that they come from, and by the account that
// they name. It knows neither HTTP nor AWS.
package attempt

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/netip"
	"strings"
	"time"

	"github.com/tenantry/tenantry/internal/fault"
)

// An Attempt is one request of an operation.
type Attempt struct {
	Operation string
	Address   string // the IP address that it comes from
	// Account is what the request calls the account, or "" where it names none. It is
	// counted as it is named, whether there is such an account or not, so that being
	// refused tells nobody which there are, nor which two names are of one.
	Account string
}

// Rules say how many attempts are admitted in each window of time.
type Rules struct {
	Address int // from one address, on all operations together
	Account int // of one operation on one account
	Window  time.Duration
}

// A Key is what attempts are counted by. It is a hash, so that it is of one length and
// holds neither an address nor a name in clear. It is no secret: whoever reads what is
// kept can try whether somebody is in it.
type Key string

// A Window is a time in which attempts are counted together. One follows another.
type Window struct{ Start, End time.Time }

// A Counter counts attempts.
type Counter interface {
	// Count adds one to a count, which is zero when a window begins, and returns what
	// it has come to. Of attempts at the same time, each gets another number.
	Count(ctx context.Context, k Key, w Window) (int, error)
}

// Limits admit attempts as the rules say.
type Limits struct {
	counter Counter
	rules   Rules
}

// NewLimits returns the limits that the rules say.
func NewLimits(counter Counter, rules Rules) *Limits { return &Limits{counter, rules} }

// Admit counts an attempt, and fails with fault.TooManyRequests if there were too
// many before it. What one count refuses is not added to the next, and one address
// may use up no more than half of what an account takes: so nobody shuts another out
// of an account from one address, and whoever does it from many has to come first
// in each window.
func (l *Limits) Admit(ctx context.Context, a Attempt) error {
	w := l.window(time.Now())
	network, account := networkOf(a.Address), strings.ToLower(a.Account)
	counts := []struct {
		key  Key
		most int
	}{
		{keyOf("address", network), l.rules.Address},
		{keyOf("account and address", a.Operation, account, network), (l.rules.Account + 1) / 2},
		{keyOf("account", a.Operation, account), l.rules.Account},
	}
	if a.Account == "" {
		counts = counts[:1]
	}
	for _, c := range counts {
		n, err := l.counter.Count(ctx, c.key, w)
		if err != nil {
			return err
		}
		if n > c.most {
			return &fault.Error{
				Kind:       fault.TooManyRequests,
				Detail:     "there were too many attempts; try again later",
				RetryAfter: time.Until(w.End),
			}
		}
	}
	return nil
}

func (l *Limits) window(now time.Time) Window {
	start := now.Truncate(l.rules.Window)
	return Window{start, start.Add(l.rules.Window)}
}

// subscriberBits is how much of an IPv6 address tells whose it is: the rest is
// theirs to choose.
const subscriberBits = 64

// networkOf returns what of an address its owner cannot choose.
func networkOf(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if ip = ip.Unmap().WithZone(""); ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip, subscriberBits).Masked().String()
}

func keyOf(parts ...string) Key {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return Key(base64.RawURLEncoding.EncodeToString(sum[:]))
}
