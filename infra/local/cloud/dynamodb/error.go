package dynamodb

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// The names of DynamoDB's errors that the layer makes or looks for.
const (
	conditionFailed     = "ConditionalCheckFailedException"
	internalError       = "InternalServerError"
	resourceInUse       = "ResourceInUseException"
	resourceNotFound    = "ResourceNotFoundException"
	tableNotFound       = "TableNotFoundException"
	throughputExceeded  = "ProvisionedThroughputExceededException"
	transactionCanceled = "TransactionCanceledException"
	transactionConflict = "TransactionConflictException"
	transactionRunning  = "TransactionInProgressException"
	tokenMismatch       = "IdempotentParameterMismatchException" //nolint:gosec // it is the name of an error
	unavailableBackups  = "ContinuousBackupsUnavailableException"
	validation          = "ValidationException"
)

// An apiError is a failure as DynamoDB reports it.
type apiError struct {
	Type    string `json:"__type"`
	Message string `json:"message"`

	// Item is the item that did not meet the condition.
	Item item `json:"Item,omitempty"`

	// CancellationReasons says for each action of a transaction what was wrong
	// with it.
	CancellationReasons []reason `json:"CancellationReasons,omitempty"`
}

// A reason says why an action made its transaction fail. Its code is None if it
// did not.
type reason struct {
	Code    string `json:"Code"`
	Message string `json:"Message,omitempty"`
	Item    item   `json:"Item,omitempty"`
}

const typePrefix = "com.amazonaws.dynamodb.v20120810#"

func failure(code, format string, args ...any) *apiError {
	return &apiError{Type: typePrefix + code, Message: fmt.Sprintf(format, args...)}
}

func (e *apiError) Error() string { return e.code() + ": " + e.Message }

// code returns the error's name.
func (e *apiError) code() string {
	_, code, _ := strings.Cut(e.Type, "#")
	return code
}

// apiError returns the failure that the reply reports.
func (r *reply) apiError() *apiError {
	e := new(apiError)
	if err := json.Unmarshal(r.body, e); err != nil || e.Type == "" {
		return failure(internalError, "dynalite answers %d: %s", r.status, r.body)
	}
	return e
}

// failed says whether the reply reports the failure called code.
func (r *reply) failed(code string) bool {
	return !r.ok() && r.apiError().code() == code
}

// isFailure says whether err is the failure called code.
func isFailure(err error, code string) bool {
	e, ok := errors.AsType[*apiError](err)
	return ok && e.code() == code
}

// errorReply returns the reply that reports err.
func errorReply(err error) *reply {
	status := http.StatusBadRequest
	e, ok := errors.AsType[*apiError](err)
	if !ok {
		e = failure(internalError, "%v", err)
	}
	if e.code() == internalError {
		status = http.StatusInternalServerError
	}
	body, err := encode(e)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte("{}")
	}
	return &reply{status, body}
}

// canceled returns the failure of a transaction for the given reasons.
func canceled(reasons []reason) *apiError {
	codes := make([]string, len(reasons))
	for i, r := range reasons {
		codes[i] = r.Code
	}
	e := failure(transactionCanceled, "Transaction cancelled, please refer cancellation reasons for specific reasons [%s]", strings.Join(codes, ", "))
	e.CancellationReasons = reasons
	return e
}

// conflicts returns the reasons of a transaction of n actions, some of which
// are in conflict with what else is running.
func conflicts(n int, inConflict func(i int) bool) []reason {
	reasons := noReasons(n)
	for i := range reasons {
		if inConflict(i) {
			reasons[i] = reason{Code: "TransactionConflict", Message: "Transaction is ongoing for the item"}
		}
	}
	return reasons
}

// noReasons returns the reasons of a transaction of n actions with which
// nothing is wrong.
func noReasons(n int) []reason {
	reasons := make([]reason, n)
	for i := range reasons {
		reasons[i].Code = "None"
	}
	return reasons
}

// encode and decode turn Go values into JSON and back.
func encode(v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return body, nil
}

func decode(body []byte, v any) error {
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	return nil
}

// success returns the reply that carries v.
func success(v any) (*reply, error) {
	body, err := encode(v)
	if err != nil {
		return nil, err
	}
	return &reply{http.StatusOK, body}, nil
}
