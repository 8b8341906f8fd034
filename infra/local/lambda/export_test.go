package lambda

// Waiting returns how many invocations are in line.
func (r *Runtime) Waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.waiting.Len()
}
