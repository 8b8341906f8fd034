package cognito

import (
	"hash/maphash"
	"sync"
)

// locks let one goroutine at a time change a user: moto looks and then writes,
// so that of two at once the second would overwrite the first.
type locks [64]sync.Mutex

var lockSeed = maphash.MakeSeed()

// lock waits for its turn with a user, and returns what ends it. It must not be
// held while a trigger runs, as that may change the same user.
func (l *locks) lock(u userKey) (unlock func()) {
	m := &l[maphash.Comparable(lockSeed, u)%uint64(len(l))]
	m.Lock()
	return m.Unlock
}
