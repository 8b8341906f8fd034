package api

import (
	"context"

	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/work"
)

// OperationRetrier is what RetryOperation needs of a provisioning.Retrier.
type OperationRetrier interface {
	Retry(ctx context.Context, c identity.Caller, id operation.ID, n work.NewPasswords, receipt work.Receipt) (operation.Operation, error)
}

// RetryOperation serves POST /operations/{operation_id}/retry. It answers 202
// with the operation, and 409 unless that has failed.
func RetryOperation(operations OperationRetrier, records RecordFinder, hashKey func(context.Context) ([]byte, error)) Operation {
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
			receipt := func(o operation.Operation) (*idempotency.Record, error) { return r.Receipt(retried(o)) }
			o, err := operations.Retry(ctx, r.Caller, operation.ID(r.Path["operation_id"]), work.NewPasswords(in), receipt)
			if err != nil {
				return nil, err
			}
			return retried(o), nil
		},
	}
}

func retried(o operation.Operation) *Response {
	return Accepted("/operations/"+string(o.ID), newOperationView(o))
}

// retryDraft is the body of POST /operations/{operation_id}/retry.
type retryDraft struct {
	AdminPassword patch.Field[string] `json:"admin_password"`
	SIPPassword   patch.Field[string] `json:"sip_password"`
}
