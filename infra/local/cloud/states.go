package cloud

import (
	"net/http"
	"strings"
	"sync"
)

// executions is Step Functions. Moto looks for an execution of the name and
// then adds one, so that of two starts at once both would run; here they wait
// for each other.
type executions struct {
	moto http.Handler
	mu   sync.Mutex
}

func (s *executions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".StartExecution") {
		s.moto.ServeHTTP(w, r)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moto.ServeHTTP(w, r)
}
