package dynamodb

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestTokenIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all tokens
		actions := json.RawMessage(`[{"Put": {"a": 1, "b": 2}}]`)
		begin := func(actions json.RawMessage) (*ticket, *reply, error) {
			return all.begin(t.Context(), "token", actions, true)
		}
		first, _, err := begin(actions)
		if err != nil || first == nil {
			t.Fatalf("got %v, %v, want a ticket", first, err)
		}
		answer := &reply{status: 200}
		first.end(answer)

		time.Sleep(tokenLife - time.Second)
		if _, got, err := begin(json.RawMessage(`[{"Put": {"b": 2, "a": 1}}]`)); got != answer || err != nil {
			t.Errorf("got %v, %v for the same actions in another order, want the first answer", got, err)
		}
		if _, _, err := begin(json.RawMessage(`[]`)); !isFailure(err, tokenMismatch) {
			t.Errorf("got %v for other actions, want %s", err, tokenMismatch)
		}
		time.Sleep(2 * time.Second)
		if again, _, err := begin(json.RawMessage(`[]`)); again == nil || err != nil {
			t.Errorf("got %v, %v after ten minutes, want a ticket", again, err)
		}
		if len(all.entries) != 1 {
			t.Errorf("got %d entries, want 1", len(all.entries))
		}
	})
}

func TestTokenOfARunningTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all tokens
		actions := json.RawMessage(`[]`)
		first, _, err := all.begin(t.Context(), "token", actions, true)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := all.begin(t.Context(), "token", actions, false); !isFailure(err, transactionRunning) {
			t.Errorf("got %v from one that does not wait, want %s", err, transactionRunning)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := all.begin(ctx, "token", actions, true); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v from one that waits too long, want %v", err, context.DeadlineExceeded)
		}
		second := make(chan *ticket)
		go func() {
			ticket, _, _ := all.begin(t.Context(), "token", actions, true)
			second <- ticket
		}()
		synctest.Wait()
		first.end(nil)
		if <-second == nil {
			t.Error("got no ticket after the first transaction failed")
		}
	})
}
