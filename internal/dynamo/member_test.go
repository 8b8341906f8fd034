package dynamo_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/user"
)

// staffed is an active tenant whose owner, with the id "owner", signed up.
type staffed struct {
	*testing.T
	db      *dynamodb.Client
	name    string
	tenants *dynamo.Tenants
	users   *dynamo.Users
	due     *dynamo.Due
	id      identity.TenantID
}

func newStaffed(t *testing.T) *staffed {
	t.Helper()
	db, name := newRawTable(t)
	table := dynamo.NewTable(db, name)
	s := &staffed{t, db, name, dynamo.NewTenants(table), dynamo.NewUsers(table), dynamo.NewDue(table), ""}
	c := newCreation("Acme", "acme")
	owner := newUser("owner", "Owner@Acme.example")
	owner.TenantID, owner.Role = c.Tenant.ID, identity.Owner
	c.Owner, c.Tenant.OwnerID, s.id = &owner, &owner.ID, c.Tenant.ID
	created := create(t, s.tenants, c)[0]
	change(t, s.tenants, created, func(t *tenant.Tenant) { t.Status = tenant.Active })
	return s
}

func (s *staffed) tenant() tenant.Tenant {
	s.Helper()
	t, err := s.tenants.Get(s.Context(), s.id)
	if err != nil {
		s.Fatal(err)
	}
	return t
}

func (s *staffed) get(id identity.UserID) user.User {
	s.Helper()
	u, err := s.users.Get(s.Context(), id)
	if err != nil {
		s.Fatal(err)
	}
	return u
}

// joining returns that of a new user with a role, whose e-mail address is held.
func (s *staffed) joining(email, fullName string, role identity.Role) (user.Joining, error) {
	now := time.Now()
	i := user.Invitation{ID: uuid.NewString(), Email: email, HeldUntil: now.Add(time.Minute), DeadAt: now.Add(time.Hour)}
	u := user.User{
		ID: identity.UserID("id of " + email), Username: i.ID, Email: email, FullName: fullName, Role: role, TenantID: s.id,
		CreatedAt: now.UTC().Truncate(time.Millisecond), Version: 1,
	}
	t := s.tenant()
	return user.Joining{Invitation: i, User: u, Tenant: user.TenantChange{Before: t, After: t}, Records: []audit.Record{told()}}, s.users.Hold(s.Context(), i)
}

// join adds a user, and returns them as they are stored.
func (s *staffed) join(email, fullName string, role identity.Role) user.User {
	s.Helper()
	j, err := s.joining(email, fullName, role)
	if err == nil {
		err = s.users.Join(s.Context(), j)
	}
	if err != nil {
		s.Fatal(err)
	}
	return s.get(j.User.ID)
}

// update returns the change of a user as edit leaves them.
func (s *staffed) update(id identity.UserID, edit func(*user.User)) user.Change {
	s.Helper()
	before, t := s.get(id), s.tenant()
	c := user.Change{Before: before, After: before, Tenant: &user.TenantChange{Before: t, After: t}, Records: []audit.Record{told()}}
	edit(&c.After)
	c.After.Version++
	return c
}

// removal returns the change that removes a user.
func (s *staffed) removal(id identity.UserID) user.Change {
	s.Helper()
	c := s.update(id, func(*user.User) {})
	c.After = user.User{}
	return c
}

func (s *staffed) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// list returns the ids of a part of the users, and where the list goes on.
func (s *staffed) list(search string, w page.Window) ([]identity.UserID, page.Position) {
	s.Helper()
	p, err := s.users.List(s.Context(), s.id, search, w)
	if err != nil {
		s.Fatal(err)
	}
	ids := []identity.UserID{}
	for _, entry := range p.Entries {
		ids = append(ids, entry.Value.ID)
	}
	return ids, p.Next
}

// found returns the ids of all users that a search finds.
func (s *staffed) found(search string) []identity.UserID {
	s.Helper()
	ids, next := s.list(search, page.Window{Limit: 1000})
	if next != "" {
		s.Errorf("the list of %q goes on at %s", search, next)
	}
	return ids
}

// counted fails the test unless the tenant has so many users and owners.
func (s *staffed) counted(users, owners int) {
	s.Helper()
	out, err := s.db.GetItem(s.Context(), &dynamodb.GetItemInput{TableName: &s.name, ConsistentRead: new(true), Key: map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberS{Value: "TENANT#" + string(s.id)}, "sk": &types.AttributeValueMemberS{Value: "TENANT#COUNTERS"},
	}})
	if err != nil {
		s.Fatal(err)
	}
	var got struct {
		Users  int `dynamodbav:"users"`
		Owners int `dynamodbav:"owners"`
	}
	s.must(attributevalue.UnmarshalMap(out.Item, &got))
	if got.Users != users || got.Owners != owners {
		s.Errorf("the tenant counts %d users and %d owners, want %d and %d", got.Users, got.Owners, users, owners)
	}
}

// Many users are listed newest first, page by page, while some come and some go.
func TestUsersList(t *testing.T) {
	t.Parallel()
	s := newStaffed(t)
	want := []identity.UserID{"owner"}
	for i := range 260 { // over several pages of the roster
		email := "user" + strconv.Itoa(i) + "@example.com"
		want = append(want, s.join(email, "Name "+strconv.Itoa(i), identity.Agent).ID)
	}
	slices.Reverse(want)
	if diff := cmp.Diff(want, s.found("")); diff != "" {
		t.Fatalf("all (-want +got):\n%s", diff)
	}
	for _, limit := range []int{1, 7, 128, 261} {
		var got []identity.UserID
		for w := (page.Window{Limit: limit}); ; {
			ids, next := s.list("", w)
			got = append(got, ids...)
			if w.From = next; next == "" {
				break
			}
			if len(ids) != limit {
				t.Fatalf("a page of %d holds %d", limit, len(ids))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("by %d (-want +got):\n%s", limit, diff)
		}
	}
	first, next := s.list("", page.Window{Limit: 140})
	s.must(s.users.Change(t.Context(), s.removal("id of user30@example.com")))
	s.must(s.users.Change(t.Context(), s.removal("id of user259@example.com")))
	s.join("late@example.com", "Late", identity.Agent)
	rest, _ := s.list("", page.Window{Limit: 1000, From: next})
	still := slices.DeleteFunc(slices.Concat(first, rest), func(id identity.UserID) bool { return id == "id of user259@example.com" })
	want = slices.DeleteFunc(want, func(id identity.UserID) bool {
		return id == "id of user30@example.com" || id == "id of user259@example.com"
	})
	if diff := cmp.Diff(want, still); diff != "" {
		t.Errorf("those who were there throughout (-want +got):\n%s", diff)
	}
	if got := s.found("late"); len(got) != 1 {
		t.Errorf("the newest is not found: %v", got)
	}
	s.counted(260, 1)
	if ids, err := s.users.List(t.Context(), "nobody's", "", page.Window{Limit: 10}); err != nil || len(ids.Entries) != 0 {
		t.Errorf("of a tenant that is not there: %v, %v", ids, err)
	}
}

// A search finds any part of address and name, in any language, and who has it
// now.
func TestUsersSearch(t *testing.T) {
	t.Parallel()
	s := newStaffed(t)
	long := strings.Repeat("ﷺ", 200) + "end" // which folds to much more
	for email, name := range map[string]string{
		"anna@example.com": "Ånna Straße", "ivan@example.com": "Иван  Петров", "chi@beispiel.example": "陳大文", "long@example.com": long,
	} {
		s.join(email, name, identity.Agent)
	}
	for search, want := range map[string][]identity.UserID{
		"ÅNNA": {"id of anna@example.com"}, "å": {"id of anna@example.com"}, "STRASSE": {"id of anna@example.com"}, "A Str": {"id of anna@example.com"}, "иван ПЕТРОВ": {"id of ivan@example.com"}, "大": {"id of chi@beispiel.example"},
		"BEISPIEL": {"id of chi@beispiel.example"}, "anna@": {"id of anna@example.com"}, "END": {"id of long@example.com"}, strings.Repeat("ﷺ", 3): {"id of long@example.com"},
		"example.com\tiv": {}, "com иван": {}, "nobody": {}, "owner": {"owner"}, "e": nil,
	} {
		got := s.found(search)
		if want == nil && len(got) != 5 || want != nil && !slices.Equal(want, got) {
			t.Errorf("%q finds %v, want %v", search, got, want)
		}
	}
	s.must(s.users.Change(t.Context(), s.update("id of ivan@example.com", func(u *user.User) { u.FullName = "Ivo" })))
	if got := s.found("иван"); len(got) != 0 {
		t.Errorf("the name of before finds %v", got)
	}
	if got := s.found("IVO"); !slices.Equal(got, []identity.UserID{"id of ivan@example.com"}) {
		t.Errorf("the name finds %v", got)
	}
}

// TestUsersTogether adds and changes users at once: each has a place of their own,
// and none is lost.
func TestUsersTogether(t *testing.T) {
	t.Parallel()
	s := newStaffed(t)
	var errs [12]error
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			j, err := s.joining(fmt.Sprintf("user%d@example.com", i), "Name", identity.Agent)
			if err == nil {
				err = s.users.Join(t.Context(), j)
			}
			errs[i] = err
		})
	}
	wg.Wait()
	s.must(errors.Join(errs[:]...))
	s.counted(len(errs)+1, 1)
	numbers := map[int64]bool{}
	for _, id := range s.found("") {
		numbers[s.get(id).Number] = true
	}
	if len(numbers) != len(errs)+1 {
		t.Errorf("%d users have %d places", len(errs)+1, len(numbers))
	}
	for i := range errs {
		id := identity.UserID(fmt.Sprintf("id of user%d@example.com", i))
		c := s.update(id, func(u *user.User) { u.FullName = fmt.Sprintf("Renamed %d", i) })
		if i%2 == 0 {
			c = s.removal(id)
		}
		wg.Go(func() { errs[i] = s.users.Change(t.Context(), c) })
	}
	wg.Wait()
	s.must(errors.Join(errs[:]...))
	s.counted(len(errs)/2+1, 1)
	if got := s.found("renamed"); len(got) != len(errs)/2 {
		t.Errorf("those who were renamed are %v", got)
	}
}

func TestUsersChange(t *testing.T) {
	t.Parallel()
	s := newStaffed(t)
	before := s.join("dewi@example.com", "Dewi", identity.Agent)
	c := s.update(before.ID, func(u *user.User) {
		u.FullName, u.Role, u.Disabled, u.SessionsEndedAt = "Dewi Lestari", identity.Admin, true, before.CreatedAt
	})
	seen := before.CreatedAt.Add(time.Hour)
	s.must(s.users.Seen(t.Context(), before.ID, seen))
	s.must(s.users.Change(t.Context(), c))
	want := c.After
	want.LastSeenAt = seen // which happened meanwhile
	if diff := cmp.Diff(want, s.get(before.ID)); diff != "" {
		t.Errorf("user (-want +got):\n%s", diff)
	}
	if err := s.users.Change(t.Context(), c); !errors.Is(err, fault.Conflict) {
		t.Errorf("again: got %v, want %v", err, fault.Conflict)
	}
	if got := len(audited(t, s.db, s.name, "PLATFORM")); got != 3 {
		t.Errorf("the audit was told %d times, want of the status, the joining and one change", got)
	}
	stale := s.update(before.ID, func(u *user.User) { u.FullName = "Late" })
	change(t, s.tenants, s.tenant(), func(t *tenant.Tenant) { t.Status = tenant.Suspended })
	if err := s.users.Change(t.Context(), stale); !errors.Is(err, fault.Conflict) {
		t.Errorf("of a tenant that is suspended meanwhile: got %v, want %v", err, fault.Conflict)
	}
	if err := s.users.Seen(t.Context(), "nobody", seen); !errors.Is(err, fault.NotFound) {
		t.Errorf("nobody was seen: got %v, want %v", err, fault.NotFound)
	}
}

func TestUsersRemove(t *testing.T) {
	t.Parallel()
	s := newStaffed(t)
	dewi := s.join("Dewi@example.com", "Dewi", identity.Owner)
	s.counted(2, 2)
	s.must(s.users.Change(t.Context(), s.removal(dewi.ID)))
	s.counted(1, 1)
	if _, err := s.users.Get(t.Context(), dewi.ID); !errors.Is(err, fault.NotFound) {
		t.Errorf("got %v, want %v", err, fault.NotFound)
	}
	if held, err := s.users.EmailHeld(t.Context(), "dewi@example.com"); held || err != nil {
		t.Errorf("the address is held: %v, %v", held, err)
	}
	eventually(t, "the account is to be removed", func() bool {
		got, err := s.due.RejectedAccounts(t.Context(), time.Now())
		return err == nil && slices.Equal(got, []user.Account{{ID: dewi.ID, Username: dewi.Username}})
	})
	again := dewi
	again.TenantID = ""
	if err := s.users.Create(t.Context(), again, told()); !errors.Is(err, fault.EmailTaken) {
		t.Errorf("the account comes in again: %v", err)
	}
	s.must(s.users.Purge(t.Context(), s.get("owner"), told()))
	s.counted(0, 0)
	if got := s.found(""); len(got) != 0 {
		t.Errorf("those who are no more are listed: %v", got)
	}
}

// The last owner stays, whoever goes first.
func TestUsersLastOwner(t *testing.T) {
	t.Parallel()
	s := newStaffed(t)
	other := func(than identity.UserID, want identity.UserID) {
		t.Helper()
		got, err := s.users.OtherOwner(t.Context(), s.id, than)
		if got != want || (want == "") != errors.Is(err, fault.NotFound) {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	other("owner", "")
	s.join("agent@example.com", "Agent", identity.Agent)
	second, third := s.join("second@example.com", "Second", identity.Owner), s.join("third@example.com", "Third", identity.Owner)
	other("owner", second.ID)
	other(second.ID, "owner")
	s.must(s.users.Change(t.Context(), s.update(second.ID, func(u *user.User) { u.Disabled = true })))
	other("owner", third.ID)
	s.counted(4, 2)

	succession := s.update("owner", func(u *user.User) { u.Role = identity.Agent })
	succession.Tenant.After.OwnerID, succession.Tenant.Heir = &second.ID, second.ID
	succession.Tenant.After.Version++
	if err := s.users.Change(t.Context(), succession); !errors.Is(err, fault.Conflict) {
		t.Errorf("with a disabled heir: got %v, want %v", err, fault.Conflict)
	}
	succession.Tenant.After.OwnerID, succession.Tenant.Heir = &third.ID, third.ID
	late := s.update(third.ID, func(u *user.User) { u.Role = identity.Agent })
	s.must(s.users.Change(t.Context(), succession))
	if got := s.tenant(); *got.OwnerID != third.ID {
		t.Errorf("the tenant's owner is %s, want %s", *got.OwnerID, third.ID)
	}
	s.counted(4, 1)
	for name, c := range map[string]user.Change{
		"demoted": late, "disabled": s.update(third.ID, func(u *user.User) { u.Disabled = true }), "removed": s.removal(third.ID),
	} {
		if err := s.users.Change(t.Context(), c); !errors.Is(err, fault.Conflict) {
			t.Errorf("%s: got %v, want %v", name, err, fault.Conflict)
		}
	}
	s.counted(4, 1)
}

// Of two platform admins who take the role from each other at once, one stays.
func TestUsersStanding(t *testing.T) {
	t.Parallel()
	users := dynamo.NewUsers(newTable(t))
	admins := []user.User{newUser("a", "a@example.com"), newUser("b", "b@example.com")}
	for i := range admins {
		admins[i].Role = identity.PlatformAdmin
		if err := users.Create(t.Context(), admins[i], told()); err != nil {
			t.Fatal(err)
		}
	}
	var errs [2]error
	var wg sync.WaitGroup
	for i, by := range admins {
		c := user.Change{Before: admins[1-i], After: admins[1-i], By: user.Standing{ID: by.ID, Role: identity.PlatformAdmin}, Records: []audit.Record{told()}}
		c.After.Role, c.After.Version = identity.Developer, 2
		wg.Go(func() { errs[i] = users.Change(t.Context(), c) })
	}
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs[:]...), fault.Forbidden) {
		t.Errorf("got %v and %v, want one %v", errs[0], errs[1], fault.Forbidden)
	}
	left := 0
	for _, admin := range admins {
		if u, err := users.Get(t.Context(), admin.ID); err == nil && u.Role == identity.PlatformAdmin {
			left++
		}
	}
	if left != 1 {
		t.Errorf("%d platform admins are left", left)
	}
}

func TestUsersReset(t *testing.T) {
	t.Parallel()
	s := newStaffed(t)
	before := s.get("owner")
	of := s.tenant()
	at := before.CreatedAt.Add(time.Hour)
	scope := idempotency.Scope{Caller: "c", Route: "r", Key: "k"}
	r := user.Reset{User: before, Tenant: &of, At: at, Record: told(), Receipt: &idempotency.Record{Scope: scope, Status: 202, ExpiresAt: time.Now().Add(time.Hour)}}
	s.must(s.users.Reset(t.Context(), r))
	want := before
	want.SessionsEndedAt, want.Version = at, before.Version+1
	if diff := cmp.Diff(want, s.get("owner")); diff != "" {
		t.Errorf("user (-want +got):\n%s", diff)
	}
	if err := s.users.Reset(t.Context(), r); !errors.Is(err, idempotency.ErrRecorded) {
		t.Errorf("again: got %v, want %v", err, idempotency.ErrRecorded)
	}
	r.Receipt = nil
	if err := s.users.Reset(t.Context(), r); !errors.Is(err, fault.Conflict) {
		t.Errorf("of an old version: got %v, want %v", err, fault.Conflict)
	}
	s.counted(1, 1)
}

func TestInvitation(t *testing.T) {
	t.Parallel()
	s := newStaffed(t)
	now := time.Now()
	i := user.Invitation{ID: "i", Email: "Dewi@example.com", HeldUntil: now.Add(time.Hour), DeadAt: now.Add(-time.Minute)}
	s.must(s.users.Hold(t.Context(), i))
	if held, err := s.users.EmailHeld(t.Context(), "dewi@EXAMPLE.com"); !held || err != nil {
		t.Errorf("the address is held: %v, %v", held, err)
	}
	hold := func(id, email string, until time.Time) error {
		return s.users.Hold(t.Context(), user.Invitation{ID: id, Email: email, HeldUntil: until, DeadAt: now.Add(-time.Minute)})
	}
	err := hold("i", "dewi@example.com", now.Add(2*time.Hour))
	if f, ok := errors.AsType[*fault.Error](err); !ok || f.Kind != fault.InProgress || f.RetryAfter < 50*time.Minute || f.RetryAfter > time.Hour {
		t.Errorf("while it is held: got %+v", err)
	}
	for name, err := range map[string]error{
		"another invitation": hold("j", "dewi@example.com", now), "somebody's address": hold("i", "owner@acme.example", now),
	} {
		if !errors.Is(err, fault.EmailTaken) {
			t.Errorf("%s: got %v, want %v", name, err, fault.EmailTaken)
		}
	}
	other := i
	other.HeldUntil = now.Add(2 * time.Hour)
	s.must(s.users.Release(t.Context(), other)) // which does not hold it
	if err := hold("i", "dewi@example.com", now); !errors.Is(err, fault.InProgress) {
		t.Errorf("after the release of another hold: got %v", err)
	}
	s.must(s.users.Release(t.Context(), i))
	s.must(hold("j", "dewi@example.com", now.Add(-time.Second)))
	s.must(hold("j", "dewi@example.com", now.Add(time.Hour))) // it was not finished
	eventually(t, "the invitation is to be undone", func() bool {
		dead, err := s.due.DeadInvitations(t.Context(), now)
		return err == nil && cmp.Equal(dead, []user.Invitation{{ID: "j", Email: "dewi@example.com"}})
	})

	j, err := s.joining("budi@example.com", "Budi", identity.Agent)
	s.must(err)
	lost := j
	lost.Invitation.HeldUntil = now
	if err := s.users.Join(t.Context(), lost); !errors.Is(err, user.ErrHoldLost) {
		t.Errorf("got %v, want %v", err, user.ErrHoldLost)
	}
	suspended := j
	suspended.Tenant.Before.Status = tenant.Suspended
	if err := s.users.Join(t.Context(), suspended); !errors.Is(err, fault.Conflict) {
		t.Errorf("got %v, want %v", err, fault.Conflict)
	}
	forsaken := j
	forsaken.By = user.Standing{ID: s.get("owner").ID, Role: identity.PlatformAdmin}
	if err := s.users.Join(t.Context(), forsaken); !errors.Is(err, fault.Forbidden) {
		t.Errorf("got %v, want %v", err, fault.Forbidden)
	}
	j.By = user.Standing{ID: s.get("owner").ID, Role: identity.Owner}
	s.counted(1, 1)
	j.Receipt = &idempotency.Record{Scope: idempotency.Scope{Caller: "c", Route: "r", Key: "k"}, ExpiresAt: now.Add(time.Hour)}
	s.must(s.users.Join(t.Context(), j))
	if err := s.users.Join(t.Context(), j); !errors.Is(err, idempotency.ErrRecorded) {
		t.Errorf("again: got %v, want %v", err, idempotency.ErrRecorded)
	}
	want := j.User
	want.Number = 2
	if diff := cmp.Diff(want, s.get(want.ID)); diff != "" {
		t.Errorf("user (-want +got):\n%s", diff)
	}
	if username, err := s.users.ByEmail(t.Context(), "budi@example.com"); username != want.Username || err != nil {
		t.Errorf("the address leads to %q, %v", username, err)
	}
	if err := s.users.Hold(t.Context(), j.Invitation); !errors.Is(err, fault.EmailTaken) {
		t.Errorf("when it is accepted: got %v, want %v", err, fault.EmailTaken)
	}
	s.counted(2, 1)
}
