// Package fault gives failures a kind, so that each edge of the system (HTTP,
// Cognito, Step Functions) can answer them in its own language without knowing
// where they came from.
package fault

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Kind is a class of failure. It is itself an error, so that callers can ask
// errors.Is(err, fault.NotFound). Its text is the last part of the type of the
// problem document that reports it, so it never changes.
type Kind string

// The kinds of failure. An error that has none of them is a bug or an outage:
// the edges report it as internal and show the caller nothing of it.
const (
	Malformed  Kind = "malformed"              // the input cannot be read
	Invalid    Kind = "invalid"                // the input breaks a rule
	TooLarge   Kind = "too-large"              // the input is larger than is read
	MediaType  Kind = "unsupported-media-type" // the input is not of a type that is read
	KeyReused  Kind = "idempotency-key-reused" // the key came before with other input
	InProgress Kind = "idempotency-in-progress"

	Unauthenticated    Kind = "unauthenticated"     // the caller has not said who it is
	TokenInvalid       Kind = "token-invalid"       // the token is not one of ours
	TokenExpired       Kind = "token-expired"       // the token was good once
	InvalidCredentials Kind = "invalid-credentials" //nolint:gosec // a word, no credential: user name or password is wrong

	Forbidden           Kind = "forbidden"        // the caller may not do this
	PlanCeiling         Kind = "plan-ceiling"     // only a platform admin may give this much
	TenantSuspended     Kind = "tenant-suspended" // the tenant's status refuses it
	TenantInactive      Kind = "tenant-inactive"
	TenantDeleting      Kind = "tenant-deleting"
	UserNotConfirmed    Kind = "user-not-confirmed" // the code from the mail is still due
	UserDisabled        Kind = "user-disabled"
	ImpersonationDenied Kind = "impersonation-denied"  // whoever acts for the user may not do this
	NewPasswordRequired Kind = "new-password-required" // an invited user's first sign-in

	NotFound         Kind = "not-found" // there is no such thing, or none the caller may see
	MethodNotAllowed Kind = "method-not-allowed"

	Conflict           Kind = "conflict" // the thing is not in the state the caller assumed
	SlugTaken          Kind = "slug-taken"
	EmailTaken         Kind = "email-taken"
	UsernameTaken      Kind = "username-taken"
	SIPDomainTaken     Kind = "sip-domain-taken"
	OperationRunning   Kind = "operation-running"    // one operation runs on a tenant at a time
	OperationNotFailed Kind = "operation-not-failed" // only a failed one can be retried
	IllegalTransition  Kind = "illegal-transition"   // the status cannot become that
	DeleteBlocked      Kind = "delete-blocked"       // the tenant is in use
	LastOwner          Kind = "last-owner"           // the tenant would be left without an owner
	RotationOverlap    Kind = "rotation-overlap"     // the password before the present one is still valid
	CallEnded          Kind = "call-ended"           // an id of a call is used once
	Stale              Kind = "stale"                // the version named is not the present one

	QuotaExceeded   Kind = "quota-exceeded"
	TooManyRequests Kind = "too-many-requests"

	Unavailable Kind = "unavailable" // what is needed for an answer does not answer
)

func (k Kind) Error() string { return string(k) }

// An Error is a failure with a kind. Detail, Fields and Members are written for
// the caller; Err, the cause, is for the log alone.
type Error struct {
	Kind   Kind
	Detail string
	Fields []Field
	// Members are further members of the problem document, such as the
	// operation that is running.
	Members map[string]any
	// RetryAfter is how long the caller should wait, or zero if that is not known.
	RetryAfter time.Duration
	Err        error
}

// A Field says what is wrong with one part of the input: the member of the body
// at a JSON pointer, such as "#/limits/max_agents", or else a parameter of the
// path or the query.
type Field struct {
	Pointer   string
	Parameter string
	Detail    string
}

// New returns an Error of the given kind, with a detail that the caller will read.
func New(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

// Wrap is like New, and keeps err as the cause.
func Wrap(err error, kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Detail: fmt.Sprintf(format, args...), Err: err}
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(string(e.Kind) + ": " + e.Detail)
	for _, f := range e.Fields {
		b.WriteString("; " + f.Pointer + f.Parameter + " " + f.Detail)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, kind) true of an Error of that kind.
func (e *Error) Is(target error) bool { return target == e.Kind }

// KindOf returns the kind of err, or "" if it has none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return ""
}

// Fields gathers what is wrong with an input, so that the caller learns of all
// of it at once.
type Fields []Field

// Add notes that the member at pointer breaks a rule. Detail completes a
// sentence that begins with the member's name: "must be …".
func (f *Fields) Add(pointer, format string, args ...any) {
	*f = append(*f, Field{Pointer: pointer, Detail: fmt.Sprintf(format, args...)})
}

// AddParameter is Add for a parameter of the path or the query.
func (f *Fields) AddParameter(name, format string, args ...any) {
	*f = append(*f, Field{Parameter: name, Detail: fmt.Sprintf(format, args...)})
}

// And returns f and those of more that are about other parts of the input: what
// could not be read breaks no further rule.
func (f Fields) And(more Fields) Fields {
	all := slices.Clone(f)
	for _, field := range more {
		same := func(old Field) bool { return old.Pointer == field.Pointer && old.Parameter == field.Parameter }
		if !slices.ContainsFunc(f, same) {
			all = append(all, field)
		}
	}
	return all
}

// Err returns an Error of kind Invalid that holds the faults, or nil if there
// are none.
func (f Fields) Err() error {
	if len(f) == 0 {
		return nil
	}
	return &Error{Kind: Invalid, Detail: "the request breaks a rule; errors lists each", Fields: f}
}

// kinds is every kind there is.
var kinds = []Kind{
	Malformed, Invalid, TooLarge, MediaType, KeyReused, InProgress,
	Unauthenticated, TokenInvalid, TokenExpired, InvalidCredentials,
	Forbidden, PlanCeiling, TenantSuspended, TenantInactive, TenantDeleting,
	UserNotConfirmed, UserDisabled, ImpersonationDenied, NewPasswordRequired,
	NotFound, MethodNotAllowed,
	Conflict, SlugTaken, EmailTaken, UsernameTaken, SIPDomainTaken,
	OperationRunning, OperationNotFailed, IllegalTransition, DeleteBlocked, LastOwner, RotationOverlap, CallEnded, Stale,
	QuotaExceeded, TooManyRequests, Unavailable,
}

// Known reports whether k is one of the kinds.
func (k Kind) Known() bool { return slices.Contains(kinds, k) }
