package cloud

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/tenantry/tenantry/infra/local/cloud/awsjson"
)

const (
	// A secret that is deleted by force goes some time later; until then its
	// name is taken. AWS does not say how long that is.
	deletionDelay = 5 * time.Second

	maxSecret = 64 << 10
)

// secrets is Secrets Manager with the limits that moto does not have.
type secrets struct {
	moto http.Handler

	mu   sync.Mutex
	gone map[string]time.Time // when a name becomes free
}

func newSecrets(moto http.Handler) *secrets {
	return &secrets{moto: moto, gone: map[string]time.Time{}}
}

func (s *secrets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		awsjson.WriteError(w, awsjson.Errorf("SerializationException", "the request could not be read"))
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var in struct {
		Name                       string
		SecretID                   string `json:"SecretId"`
		SecretString               string
		SecretBinary               []byte
		ForceDeleteWithoutRecovery bool
	}
	_ = json.Unmarshal(body, &in) // what is malformed is for moto to refuse

	operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "secretsmanager.")
	switch {
	case len(in.SecretString) > maxSecret || len(in.SecretBinary) > maxSecret:
		awsjson.WriteError(w, awsjson.Errorf("ValidationException",
			"1 validation error detected: Value at 'secretString' failed to satisfy constraint: Member must have length less than or equal to %d", maxSecret))
	case operation == "CreateSecret" && s.taken(in.Name):
		awsjson.WriteError(w, awsjson.Errorf("InvalidRequestException",
			"You can't create this secret because a secret with this name is already scheduled for deletion."))
	case operation == "DeleteSecret" && in.ForceDeleteWithoutRecovery:
		s.delete(w, r, in.SecretID)
	default:
		s.moto.ServeHTTP(w, r)
	}
}

// taken says whether a secret of the name is still being deleted.
func (s *secrets) taken(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	free, ok := s.gone[name]
	if ok && !time.Now().Before(free) {
		delete(s.gone, name)
		return false
	}
	return ok
}

// delete lets moto delete a secret, and keeps its name for a while.
func (s *secrets) delete(w http.ResponseWriter, r *http.Request, id string) {
	answer := httptest.NewRecorder()
	s.moto.ServeHTTP(answer, r)
	if answer.Code == http.StatusOK {
		s.mu.Lock()
		s.gone[secretName(id)] = time.Now().Add(deletionDelay)
		s.mu.Unlock()
	}
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()) // a caller that went away does not read its answer
}

var secretARN = regexp.MustCompile(`^arn:[^:]*:secretsmanager:[^:]*:[^:]*:secret:(.*)-[A-Za-z0-9]{6}$`)

// secretName returns the name in a secret's ARN, or what is a name already.
func secretName(id string) string {
	if m := secretARN.FindStringSubmatch(id); m != nil {
		return m[1]
	}
	return id
}
