package cognito

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

var alice = userKey{"us-east-1_Pool", "alice"}

func TestCodeExpires(t *testing.T) {
	for why, lifetime := range map[purpose]time.Duration{confirmation: 24 * time.Hour, reset: time.Hour} {
		t.Run(string(why), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newCodes()
				code, err := s.issue(alice, why)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(lifetime)
				if err := s.check(alice, why, code); err != nil {
					t.Errorf("got %v at the end of the lifetime, want nil", err)
				}
				time.Sleep(time.Second)
				if err := s.check(alice, why, code); !errors.Is(err, errExpiredCode) {
					t.Errorf("got %v after the lifetime, want %v", err, errExpiredCode)
				}
			})
		})
	}
}

func TestCodeIsTheNewestOfItsPurpose(t *testing.T) {
	s := newCodes()
	old := issue(t, s, reset)
	other := issue(t, s, confirmation)
	code := issue(t, s, reset)
	for code == old || code == other {
		code = issue(t, s, reset)
	}
	for name, wrong := range map[string]string{"older": old, "for another purpose": other, "empty": ""} {
		if err := s.check(alice, reset, wrong); !errors.Is(err, errCodeMismatch) {
			t.Errorf("%s: got %v, want %v", name, err, errCodeMismatch)
		}
	}
	if err := s.check(alice, reset, code); err != nil {
		t.Errorf("got %v for the code, want nil", err)
	}
	if err := s.check(userKey{alice.pool, "bob"}, reset, code); !errors.Is(err, errExpiredCode) {
		t.Errorf("got %v for another user, want %v", err, errExpiredCode)
	}
	s.drop(alice, reset)
	if err := s.check(alice, reset, code); !errors.Is(err, errExpiredCode) {
		t.Errorf("got %v for a used code, want %v", err, errExpiredCode)
	}
}

func TestWrongCodesAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCodes()
		issue(t, s, confirmation)
		for range maxWrongCodes {
			if err := s.check(alice, confirmation, "wrong"); !errors.Is(err, errCodeMismatch) {
				t.Fatalf("got %v, want %v", err, errCodeMismatch)
			}
		}
		if err := s.check(alice, confirmation, issue(t, s, confirmation)); !errors.Is(err, errAttemptLimit) {
			t.Errorf("got %v for a right code after too many wrong ones, want %v", err, errAttemptLimit)
		}
		time.Sleep(time.Hour)
		if err := s.check(alice, confirmation, issue(t, s, confirmation)); err != nil {
			t.Errorf("got %v an hour later, want nil", err)
		}
	})
}

func TestCodesSentAreLimited(t *testing.T) {
	s := newCodes()
	for range maxCodesSent {
		issue(t, s, reset)
	}
	if _, err := s.issue(alice, reset); !errors.Is(err, errAttemptLimit) {
		t.Errorf("got %v, want %v", err, errAttemptLimit)
	}
}

func issue(t *testing.T, s *codes, p purpose) string {
	t.Helper()
	code, err := s.issue(alice, p)
	if err != nil {
		t.Fatal(err)
	}
	return code
}
