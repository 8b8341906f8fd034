package cognito

import (
	"crypto/rand"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/tenantry/tenantry/infra/local/cloud/awsjson"
)

// A purpose is what a code is good for.
type purpose string

const (
	confirmation purpose = "confirmation"
	reset        purpose = "reset"
)

// codeLifetimes are Cognito's.
var codeLifetimes = map[purpose]time.Duration{confirmation: 24 * time.Hour, reset: time.Hour}

// How much may be asked of a user's codes in an hour.
const (
	maxWrongCodes = 5
	maxCodesSent  = 20
)

// codes make, keep and check the codes that are mailed. The newest of a user
// and purpose is the valid one.
type codes struct {
	mu    sync.Mutex
	byKey map[codeKey]*code
}

type codeKey struct {
	user    userKey
	purpose purpose
}

// A code and what was done with it. A value that is empty was used.
type code struct {
	value   string
	expires time.Time

	hour        time.Time // when the hour began in which sent and wrong were counted
	sent, wrong int
}

func newCodes() *codes { return &codes{byKey: map[codeKey]*code{}} }

// issue makes a new code. It fails with LimitExceededException if there were
// too many.
func (s *codes) issue(u userKey, p purpose) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.get(u, p)
	if c.sent >= maxCodesSent {
		return "", errAttemptLimit
	}
	c.sent++
	c.value = sixDigits()
	c.expires = time.Now().Add(codeLifetimes[p])
	return c.value, nil
}

// check fails unless value is the user's code. It does not use the code up.
func (s *codes) check(u userKey, p purpose, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.get(u, p)
	switch {
	case c.wrong >= maxWrongCodes:
		return errAttemptLimit
	case c.value == "" || time.Now().After(c.expires):
		return errExpiredCode
	case c.value != value:
		c.wrong++
		return errCodeMismatch
	}
	return nil
}

// drop makes the user's code useless.
func (s *codes) drop(u userKey, p purpose) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byKey, codeKey{u, p})
}

// get returns the code of a user, with counts of this hour.
func (s *codes) get(u userKey, p purpose) *code {
	k := codeKey{u, p}
	c, ok := s.byKey[k]
	if !ok {
		c = &code{hour: time.Now()}
		s.byKey[k] = c
	}
	if time.Since(c.hour) >= time.Hour {
		c.hour, c.sent, c.wrong = time.Now(), 0, 0
	}
	return c
}

func sixDigits() string {
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	return fmt.Sprintf("%06d", n)
}

var (
	errCodeMismatch = awsjson.Errorf("CodeMismatchException", "Invalid verification code provided, please try again.")
	errExpiredCode  = awsjson.Errorf("ExpiredCodeException", "Invalid code provided, please request a code again.")
	errAttemptLimit = awsjson.Errorf("LimitExceededException", "Attempt limit exceeded, please try after some time.")
)
