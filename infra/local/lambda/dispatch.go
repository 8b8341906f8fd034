package lambda

import "time"

// enqueue puts inv at the end of the line, and gives it to a process at once if
// one is free.
func (r *Runtime) enqueue(inv *invocation) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	r.waiting.PushBack(inv)
	r.dispatch()
	return nil
}

// withdraw takes inv out of the line if it is still in it.
func (r *Runtime) withdraw(inv *invocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for e := r.waiting.Front(); e != nil; e = e.Next() {
		if e.Value == inv {
			r.waiting.Remove(e)
			return
		}
	}
}

// dispatch serves the line, oldest first: an invocation gets an idle process of
// its function; or one that is about to be; or a new one, for which the longest
// idle process of another function makes room if there is none; or it goes on
// waiting. The caller holds the mutex.
func (r *Runtime) dispatch() {
	promised := map[*function]int{} // starting processes that an older invocation will get
	for e := r.waiting.Front(); e != nil; {
		inv, this := e.Value.(*invocation), e
		e = e.Next()
		fn := inv.fn
		if n := len(fn.idle); n > 0 {
			p := fn.idle[n-1]
			fn.idle = fn.idle[:n-1]
			r.waiting.Remove(this)
			r.assign(p, inv)
			continue
		}
		if promised[fn] == fn.starting && !r.grow(fn) {
			continue
		}
		promised[fn]++
	}
}

// grow starts a process of fn, and says whether it could. The caller holds the
// mutex.
func (r *Runtime) grow(fn *function) bool {
	if fn.slots >= r.o.MaxPerFunction {
		return false
	}
	var room <-chan struct{}
	if r.slots >= r.o.MaxProcesses {
		victim := r.longestIdle()
		if victim == nil {
			return false
		}
		r.retire(victim)
		room = victim.exited
	}
	r.start(fn, room)
	return true
}

// longestIdle returns the process that has been idle longest, or nil. The caller
// holds the mutex, and its function has no idle process.
func (r *Runtime) longestIdle() *process {
	var longest *process
	for _, fn := range r.functions {
		if len(fn.idle) > 0 && (longest == nil || fn.idle[0].since.Before(longest.since)) {
			longest = fn.idle[0]
		}
	}
	return longest
}

// assign gives inv to p, which is free. The caller holds the mutex.
func (r *Runtime) assign(p *process, inv *invocation) {
	if inv.probe {
		r.end(inv, nil, false)
		r.release(p)
		return
	}
	p.idleTimer.Stop()
	p.current = inv
	p.events <- inv
}

// release makes p idle, unless it is about to end. The caller holds the mutex, and calls dispatch.
func (r *Runtime) release(p *process) {
	p.current = nil
	if p.killed {
		return
	}
	p.since = time.Now()
	p.idleTimer.Reset(r.o.IdleTimeout)
	p.fn.idle = append(p.fn.idle, p)
}

// retire ends an idle process. Its slot is free at once for whoever waits for it
// to exit. The caller holds the mutex.
func (r *Runtime) retire(p *process) {
	r.giveBack(p)
	r.kill(p)
}

// giveBack frees the slot of p, once. The caller holds the mutex.
func (r *Runtime) giveBack(p *process) {
	if p.slot {
		p.slot = false
		p.fn.slots--
		r.slots--
	}
}
