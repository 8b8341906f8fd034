package cloud

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"net/http"
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
	moto   http.Handler
	client *awsjson.Client

	mu   sync.Mutex
	gone map[string]time.Time // when a name becomes free
}

func newSecrets(moto http.Handler, client *awsjson.Client) *secrets {
	return &secrets{moto: moto, client: client, gone: map[string]time.Time{}}
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
		s.delete(w, r, body)
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
func (s *secrets) delete(w http.ResponseWriter, r *http.Request, body []byte) {
	region, _ := awsjson.Scope(r.Header)
	region = cmp.Or(region, "us-east-1")
	var in struct {
		SecretID string `json:"SecretId"`
	}
	_ = json.Unmarshal(body, &in) // ServeHTTP has decoded it
	var secret struct{ Name string }
	describeErr := s.client.Call(r.Context(), region, "secretsmanager", "secretsmanager.DescribeSecret", in, &secret)
	status, answer, err := s.client.Do(r.Context(), region, "secretsmanager", "secretsmanager.DeleteSecret", body)
	switch {
	case err != nil:
		awsjson.WriteError(w, err)
		return
	case status != http.StatusOK:
		awsjson.WriteError(w, awsjson.DecodeError(status, answer))
		return
	}
	if describeErr == nil { // otherwise there was no secret to delete, which AWS forgives
		s.keep(secret.Name)
	}
	awsjson.WriteBody(w, status, answer)
}

// keep keeps a name from being used for a while.
func (s *secrets) keep(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone[name] = time.Now().Add(deletionDelay)
}
