// Package dynamodb is a layer in front of dynalite that adds what dynalite
// lacks of DynamoDB: transactions, old items on failed conditions, time to
// live, continuous backups, deletion protection, and tags at creation. In
// strict mode it also is as unkind as DynamoDB may be.
//
// Dynalite evaluates every expression, and makes every operation on one item
// atomic. The layer keeps order: a transaction has its items to itself, and what
// reads more than the items it names takes turns with transactions. A transaction
// that fails is undone before anything else sees what it did.
package dynamodb

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxRequestBytes is the most that DynamoDB takes in one request.
const maxRequestBytes = 16 << 20

// Options are the settings of a Layer.
type Options struct {
	// Upstream is the address of dynalite, which must be empty: the Layer knows
	// the tables that are made through it.
	Upstream *url.URL

	// Strict makes the Layer as unkind as DynamoDB may be: whatever touches an
	// item of a running transaction is in conflict with it, indexes lag behind
	// their tables, tables take a while to come and go, and attributes may not
	// be nested deeper than 32.
	Strict bool

	// IndexLag is how far, in strict mode, a global index may be behind its
	// table: 2 s if zero.
	IndexLag time.Duration

	// TableDelay is how long, in strict mode, a table is CREATING and DELETING:
	// 300 ms if zero.
	TableDelay time.Duration
}

// A Layer is an http.Handler that speaks DynamoDB's protocol. It accepts any
// credentials.
type Layer struct {
	options  Options
	upstream *upstream
	tables   tables
	tokens   tokens
	running  running
	order    order
	faults   faults

	// control is held by whatever creates, changes or deletes a table.
	control sync.Mutex
}

// New returns a Layer with the given options.
func New(o Options) *Layer {
	o.IndexLag = cmp.Or(o.IndexLag, 2*time.Second)
	o.TableDelay = cmp.Or(o.TableDelay, 300*time.Millisecond)
	return &Layer{options: o, upstream: newUpstream(o.Upstream)}
}

// An operation answers one operation of DynamoDB. An error that is not an
// apiError becomes an internal error.
type operation func(l *Layer, ctx context.Context, name string, body []byte) (*reply, error)

// operations holds what the Layer does not merely pass on.
var operations = map[string]operation{
	"PutItem":    (*Layer).write,
	"UpdateItem": (*Layer).write,
	"DeleteItem": (*Layer).write,
	"GetItem":    (*Layer).get,
	"Query":      (*Layer).list,
	"Scan":       (*Layer).list,

	"BatchGetItem":   (*Layer).batchGet,
	"BatchWriteItem": (*Layer).batchWrite,

	"TransactWriteItems": (*Layer).transactWrite,
	"TransactGetItems":   (*Layer).transactGet,

	"CreateTable":   (*Layer).createTable,
	"DescribeTable": (*Layer).describeTable,
	"UpdateTable":   (*Layer).updateTable,
	"DeleteTable":   (*Layer).deleteTable,
	"ListTables":    (*Layer).listTables,
	"TagResource":   (*Layer).tagResource,

	"UpdateTimeToLive":          (*Layer).updateTimeToLive,
	"DescribeTimeToLive":        (*Layer).describeTimeToLive,
	"UpdateContinuousBackups":   (*Layer).updateContinuousBackups,
	"DescribeContinuousBackups": (*Layer).describeContinuousBackups,
}

// ServeHTTP answers one operation.
func (l *Layer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBytes))
	if err != nil {
		http.Error(w, "the request is too long or broken", http.StatusRequestEntityTooLarge)
		return
	}
	// A client that leaves must not leave half a transaction behind.
	ctx := context.WithoutCancel(r.Context())
	outcome := l.faults.decide(name, body)
	var answer *reply
	if err = outcome.refusal(name, body); err == nil {
		answer, err = l.do(ctx, name, body)
	}
	if outcome == Lose {
		panic(http.ErrAbortHandler)
	}
	if err != nil {
		answer = errorReply(err)
	}
	answer.write(w)
}

// do carries out one operation.
func (l *Layer) do(ctx context.Context, name string, body []byte) (*reply, error) {
	if err := check(body); err != nil {
		return nil, err
	}
	if op, ok := operations[name]; ok {
		return op(l, ctx, name, body)
	}
	return l.upstream.send(ctx, name, body)
}

// check refuses requests that dynalite would not survive: what is no JSON
// object, and what has a null within one of its members.
func check(body []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return &apiError{Type: "com.amazon.coral.service#SerializationException", Message: "the request is not a JSON object"}
	}
	if !bytes.Contains(body, []byte("null")) {
		return nil
	}
	tokens := json.NewDecoder(bytes.NewReader(body))
	for depth := 0; ; {
		token, err := tokens.Token()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("look for nulls: %w", err)
		case token == nil && depth > 1:
			return failure(validation, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
		case token == json.Delim('{') || token == json.Delim('['):
			depth++
		case token == json.Delim('}') || token == json.Delim(']'):
			depth--
		}
	}
}

// A reply is the answer to an operation.
type reply struct {
	status int
	body   []byte
}

// write sends the reply, with the checksum that SDKs look for.
func (r *reply) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/x-amz-json-1.0")
	h.Set("Content-Length", strconv.Itoa(len(r.body)))
	h.Set("X-Amzn-Requestid", rand.Text()+rand.Text())
	h.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(r.body)), 10))
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body) //nolint:gosec // it is JSON, and said to be
}

// ok says whether the reply reports success.
func (r *reply) ok() bool { return r.status == http.StatusOK }

// An upstream is dynalite.
type upstream struct {
	url    string
	client *http.Client
}

func newUpstream(u *url.URL) *upstream {
	return &upstream{
		url: u.String(),
		client: &http.Client{Transport: &http.Transport{
			MaxIdleConnsPerHost: 512,
			IdleConnTimeout:     time.Minute,
			DisableCompression:  true,
		}},
	}
}

// send has dynalite carry out an operation. An error means that it gave no
// answer; a reply may report a failure of its own.
func (u *upstream) send(ctx context.Context, name string, body []byte) (*reply, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", name, err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("X-Amz-Target", "DynamoDB_20120810."+name)
	req.Header.Set("X-Amz-Date", "20260101T000000Z")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=local")
	resp, err := u.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", name, err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read the answer to %s: %w", name, err)
	}
	return &reply{resp.StatusCode, answer}, nil
}

// call is send with the request and the answer as Go values. A failure that
// dynalite reports is an *apiError. Out may be nil.
func (u *upstream) call(ctx context.Context, name string, in, out any) error {
	body, err := encode(in)
	if err != nil {
		return err
	}
	answer, err := u.send(ctx, name, body)
	if err != nil {
		return err
	}
	if !answer.ok() {
		return answer.apiError()
	}
	if out == nil {
		return nil
	}
	return decode(answer.body, out)
}
