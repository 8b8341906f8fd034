package api

import (
	"context"
	"errors"

	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/work"
)

// OperationRetrier runs failed operations of one kind again.
type OperationRetrier interface {
	Retry(ctx context.Context, c identity.Caller, id operation.ID, n work.NewPasswords, receipt work.Receipt) (operation.Operation, error)
}

// RetryOperation serves POST /operations/{operation_id}/retry. It answers 202
// with the operation, and 409 unless that has failed.
func RetryOperation(operations OperationGetter, retriers map[operation.Kind]OperationRetrier, records RecordFinder, hashKey func(context.Context) ([]byte, error)) Operation {
	return Operation{
		Name:  "RetryOperation",
		Allow: identity.Roles(identity.PlatformAdmin),
		Idempotency: &Idempotency{
			Records:   records,
			Key:       hashKey,
			WriteOnly: []string{"admin_password", "sip_password"},
		},
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			in, faults, err := DecodeOptional[retryDraft](r)
			if err != nil {
				return nil, err
			}
			if err := faults.Err(); err != nil {
				return nil, err
			}
			o, err := operations.Get(ctx, operation.ID(r.Path["operation_id"]))
			if err != nil {
				return nil, err
			}
			retrier := retriers[o.Kind]
			if retrier == nil {
				return nil, errors.New("nothing retries operations of kind " + string(o.Kind))
			}
			receipt := func(o operation.Operation) (*idempotency.Record, error) { return r.Receipt(accepted(o)) }
			o, err = retrier.Retry(ctx, r.Caller, o.ID, work.NewPasswords(in), receipt)
			if err != nil {
				return nil, err
			}
			return accepted(o), nil
		},
	}
}

// accepted is the answer that tells of an operation which is to run.
func accepted(o operation.Operation) *Response {
	return Accepted("/operations/"+string(o.ID), newOperationView(o))
}

// retryDraft is the body of POST /operations/{operation_id}/retry.
type retryDraft struct {
	AdminPassword patch.Field[string] `json:"admin_password"`
	SIPPassword   patch.Field[string] `json:"sip_password"`
}
