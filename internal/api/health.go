package api

import (
	"context"

	"github.com/tenantry/tenantry/internal/identity"
)

// A Pinger fails unless what it stands for answers.
type Pinger interface {
	Ping(ctx context.Context) error
}

// GetHealth serves GET /health. It answers 200 when the store answers, and
// tells nothing else.
func GetHealth(store Pinger) Operation {
	return Operation{
		Name:  "GetHealth",
		Allow: identity.Public(),
		Handle: func(ctx context.Context, _ *Request) (*Response, error) {
			if err := store.Ping(ctx); err != nil {
				return nil, err
			}
			return OK(healthView{"ok"}), nil
		},
	}
}

type healthView struct {
	Status string `json:"status"`
}
