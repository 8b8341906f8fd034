package dynamo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/user"
)

// Hold reserves the e-mail address of an invitation, or takes the invitation over
// from a request that did not finish it. It fails with fault.EmailTaken, and with
// fault.InProgress if a request still has the invitation to itself.
func (s *Users) Hold(ctx context.Context, i user.Invitation) error {
	item := newInvitationItem(i)
	item.HeldBy = rand.Text() // by which this call knows what it wrote, if the answer to that was lost
	av, err := attributevalue.MarshalMap(item)
	vs, err2 := values(map[string]any{":i": i.ID, ":by": item.HeldBy, ":now": sortable(time.Now())})
	if err := errors.Join(err, err2); err != nil {
		return fmt.Errorf("marshal an invitation: %w", err)
	}
	_, err = s.db.PutItem(ctx, &dynamodb.PutItemInput{
		TableName:                           &s.name,
		Item:                                av,
		ConditionExpression:                 new("attribute_not_exists(pk) OR held_by = :by OR invitation_id = :i AND held_until < :now"),
		ExpressionAttributeValues:           vs,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if held, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		return whyHeld(held.Item, i)
	}
	if err != nil {
		return fmt.Errorf("hold the e-mail address of an invitation: %w", err)
	}
	return nil
}

// whyHeld says who has the e-mail address that was to be held for an invitation.
func whyHeld(old map[string]types.AttributeValue, i user.Invitation) error {
	var item emailItem
	if err := attributevalue.UnmarshalMap(old, &item); err != nil {
		return fmt.Errorf("unmarshal the reservation of an e-mail address: %w", err)
	}
	if item.InvitationID != i.ID {
		return &fault.Error{
			Kind:   fault.EmailTaken,
			Detail: "the e-mail address belongs to another account",
			Fields: fault.Fields{{Pointer: "#/email", Detail: "is taken"}},
		}
	}
	inProgress := &fault.Error{Kind: fault.InProgress, Detail: "a request with this Idempotency-Key is still being answered; try again in a moment"}
	if until, err := time.Parse(time.RFC3339, item.HeldUntil); err == nil {
		inProgress.RetryAfter = max(time.Second, time.Until(until))
	}
	return inProgress
}

// Release frees the e-mail address of an invitation, if the hold is still that of
// i.
func (s *Users) Release(ctx context.Context, i user.Invitation) error {
	k, err := attributevalue.MarshalMap(emailKey(i.Email))
	vs, err2 := values(heldBy(i))
	if err := errors.Join(err, err2); err != nil {
		return fmt.Errorf("marshal an invitation: %w", err)
	}
	_, err = s.db.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: &s.name, Key: k, ConditionExpression: new(isHeld), ExpressionAttributeValues: vs,
	})
	if _, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		return nil
	}
	if err != nil {
		return fmt.Errorf("free the e-mail address of an invitation: %w", err)
	}
	return nil
}

// isHeld is true of the reservation that an invitation holds, and no other
// request has taken over.
const isHeld = "invitation_id = :i AND held_until = :until"

func heldBy(i user.Invitation) map[string]any {
	return map[string]any{":i": i.ID, ":until": sortable(i.HeldUntil)}
}

// Join writes an invited user, whose e-mail address is bound then. It fails with
// idempotency.ErrRecorded if the receipt is there already, with user.ErrHoldLost,
// with fault.Conflict if the tenant is not as the joining takes it to be, and with
// fault.Forbidden if whoever invites has lost their standing.
func (s *Users) Join(ctx context.Context, j user.Joining) error {
	return s.withRoster(ctx, j.User.TenantID, 0, func(tx *transaction, p *rosterPage) {
		u := j.User
		p.add(&u)
		if j.Receipt != nil {
			tx.put(newRecordItem(*j.Receipt), idempotency.ErrRecorded)
		}
		tx.write(emailItem{key: emailKey(u.Email), UserID: u.ID, Username: u.Username}, isHeld, heldBy(j.Invitation), user.ErrHoldLost)
		tx.put(newUserItem(u), fmt.Errorf("there is a user %q already", u.ID))
		tx.changeMembers(j.Tenant, 1, u.OwnerCount())
		tx.checkStanding(j.By)
		tx.record(j.Records...)
	})
}

// DeadInvitations returns the invitations that are to be undone by now.
func (s *Due) DeadInvitations(ctx context.Context, now time.Time) ([]user.Invitation, error) {
	var dead []user.Invitation
	err := s.due(ctx, dueInvited, now, func(k key) error {
		var item emailItem
		err := s.get(ctx, k, &item)
		if errors.Is(err, errNoItem) || err == nil && item.InvitationID == "" {
			return nil
		}
		if err == nil {
			dead = append(dead, user.Invitation{ID: item.InvitationID, Email: k.name()})
		}
		return err
	})
	return dead, err
}

func newInvitationItem(i user.Invitation) emailItem {
	return emailItem{
		key: emailKey(i.Email), InvitationID: i.ID, HeldUntil: sortable(i.HeldUntil),
		Due: dueKey(dueInvited, shardOf(i.ID)), DueAt: sortable(i.DeadAt),
	}
}
