package cloud

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestSecretNameBecomesFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSecrets(nil, nil, deletionDelay)
		s.keep("a")
		if !s.taken("a") || s.taken("b") {
			t.Error("got a free, or b taken, at once")
		}
		time.Sleep(deletionDelay)
		if s.taken("a") {
			t.Error("got a taken after the delay")
		}
	})
}
