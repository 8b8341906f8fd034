package cognito

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// A Mail is a message that Cognito would have sent.
type Mail struct {
	Time     time.Time `json:"time"`
	Kind     string    `json:"kind"` // sign_up, resend, reset, invitation
	To       string    `json:"to"`
	Username string    `json:"username"`
	Subject  string    `json:"subject"`
	Body     string    `json:"body"`
	Code     string    `json:"code"` // an invitation's is the temporary password
}

// An outbox keeps mails instead of sending them.
type outbox struct {
	dir string

	mu   sync.Mutex
	sent []Mail
}

// send keeps m, stamped with the time, and writes it to a file of its own.
func (o *outbox) send(m Mail) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	m.Time = time.Now().UTC()
	o.sent = append(o.sent, m)
	if o.dir == "" {
		return nil
	}
	body, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the mail to %s: %w", m.To, err)
	}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return fmt.Errorf("keep the mail to %s: %w", m.To, err)
	}
	name := fmt.Sprintf("%s-%d.json", m.Time.Format("20060102T150405.000000Z"), len(o.sent))
	if err := os.WriteFile(filepath.Join(o.dir, name), append(body, '\n'), 0o600); err != nil {
		return fmt.Errorf("keep the mail to %s: %w", m.To, err)
	}
	return nil
}

func (o *outbox) list(to string) []Mail {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := []Mail{}
	for _, m := range o.sent {
		if to == "" || strings.EqualFold(m.To, to) {
			list = append(list, m)
		}
	}
	return list
}

// fill puts user name and code into a template of the pool's.
func fill(template, username, code string) string {
	return strings.NewReplacer("{username}", username, "{####}", code).Replace(template)
}
