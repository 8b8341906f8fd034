package cloud

import (
	"bytes"
	"cmp"
	"context"
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

// secrets is Secrets Manager with what moto leaves out: the limit of size, and
// names that are taken by secrets on their way out.
type secrets struct {
	moto   http.Handler
	client *awsjson.Client
	delay  time.Duration // how long a deletion by force takes

	mu   sync.Mutex
	gone map[string]time.Time // when a name becomes free
}

func newSecrets(moto http.Handler, client *awsjson.Client, delay time.Duration) *secrets {
	return &secrets{moto: moto, client: client, delay: delay, gone: map[string]time.Time{}}
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

	if len(in.SecretString) > maxSecret || len(in.SecretBinary) > maxSecret {
		awsjson.WriteError(w, awsjson.Errorf("ValidationException",
			"1 validation error detected: Value at 'secretString' failed to satisfy constraint: Member must have length less than or equal to %d", maxSecret))
		return
	}
	region, _ := awsjson.Scope(r.Header)
	c := secretCall{
		Context:   r.Context(),
		region:    cmp.Or(region, "us-east-1"),
		operation: strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "secretsmanager."),
		body:      body,
	}
	switch {
	case c.operation == "CreateSecret":
		s.create(w, c, in.Name)
	case c.operation == "DeleteSecret" && in.ForceDeleteWithoutRecovery:
		s.delete(w, c, in.SecretID)
	default:
		s.moto.ServeHTTP(w, r)
	}
}

var errScheduledForDeletion = awsjson.Errorf("InvalidRequestException",
	"You can't create this secret because a secret with this name is already scheduled for deletion.")

// create lets moto create a secret, unless the name is taken by a secret that
// is to go.
func (s *secrets) create(w http.ResponseWriter, c secretCall, name string) {
	if s.taken(name) {
		awsjson.WriteError(w, errScheduledForDeletion)
		return
	}
	answer, err := s.do(c)
	if awsjson.HasCode(err, "ResourceExistsException") {
		if there, describeErr := s.describe(c, name); describeErr == nil && there.DeletedDate != 0 {
			err = errScheduledForDeletion
		}
	}
	write(w, answer, err)
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

// delete lets moto delete a secret, and keeps its name for a while. If there is
// none, which AWS forgives, there is no name to keep.
func (s *secrets) delete(w http.ResponseWriter, c secretCall, id string) {
	there, describeErr := s.describe(c, id)
	answer, err := s.do(c)
	if err == nil && describeErr == nil {
		s.keep(there.Name)
	}
	write(w, answer, err)
}

// keep keeps a name from being used for a while.
func (s *secrets) keep(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone[name] = time.Now().Add(s.delay)
}

// A secretCall is a request that moto gets from us.
type secretCall struct {
	context.Context
	region    string
	operation string
	body      []byte
}

// do hands a request to moto.
func (s *secrets) do(c secretCall) ([]byte, error) {
	status, answer, err := s.client.Do(c, c.region, "secretsmanager", "secretsmanager."+c.operation, c.body)
	if err == nil && status != http.StatusOK {
		return nil, awsjson.DecodeError(status, answer)
	}
	return answer, err
}

// A description is what DescribeSecret tells.
type description struct {
	Name        string
	DeletedDate float64 // 0 for a secret that is to stay
}

func (s *secrets) describe(c secretCall, id string) (description, error) {
	var d description
	in := map[string]string{"SecretId": id}
	err := s.client.Call(c, c.region, "secretsmanager", "secretsmanager.DescribeSecret", in, &d)
	return d, err
}

func write(w http.ResponseWriter, answer []byte, err error) {
	if err != nil {
		awsjson.WriteError(w, err)
		return
	}
	awsjson.WriteBody(w, http.StatusOK, answer)
}
