package secret_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/provisioning"
	"github.com/tenantry/tenantry/internal/secret"
)

const operationID = operation.ID("0b7f9d3e-5a61-4c1e-8f27-9d2c4b6a8e10")

func TestOperationsRoundTrip(t *testing.T) {
	t.Parallel()
	client, stack := newClient(t)
	vault := secret.NewOperations(client, stack)
	all := []provisioning.Passwords{
		{Admin: `correct "horse"`, SIP: "staple\\staple", Webhook: "h\u00fcmm\u2028", MongoDB: "battery"},
		{SIP: "another"},
		{},
	}
	var names []string
	for _, want := range all {
		name, err := vault.Keep(t.Context(), operationID, want)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(name, stack+"/operation/"+string(operationID)+"/") {
			t.Errorf("the secret is called %s", name)
		}
		names = append(names, name)
	}
	for i, want := range all {
		got, err := vault.Open(t.Context(), names[i])
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	for range 2 {
		if err := vault.Drop(t.Context(), names[0]); err != nil {
			t.Fatal(err)
		}
		if _, err := vault.Open(t.Context(), names[0]); !errors.Is(err, provisioning.ErrNoPasswords) {
			t.Errorf("got %v, want %v", err, provisioning.ErrNoPasswords)
		}
	}
	if _, err := vault.Open(t.Context(), names[1]); err != nil {
		t.Errorf("another secret of the operation went too: %v", err)
	}
}

func TestOpenWhatIsNoPasswords(t *testing.T) {
	t.Parallel()
	client, stack := newClient(t)
	for name, in := range map[string]secretsmanager.CreateSecretInput{
		"text":   {SecretString: new("hunter2")},
		"bytes":  {SecretBinary: []byte("hunter2")},
		"others": {SecretString: new(`{"hunter2":[1]`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in.Name = new(stack + "/operation/" + name)
			if _, err := client.CreateSecret(t.Context(), &in); err != nil {
				t.Fatal(err)
			}
			_, err := secret.NewOperations(client, stack).Open(t.Context(), *in.Name)
			if err == nil || errors.Is(err, provisioning.ErrNoPasswords) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want an error that does not tell", err)
			}
		})
	}
}

// A failing client answers with an error.
type failing struct{ err error }

func (f failing) CreateSecret(context.Context, *secretsmanager.CreateSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.CreateSecretOutput, error) {
	return nil, f.err
}

func (f failing) GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	return nil, f.err
}

func (f failing) DeleteSecret(context.Context, *secretsmanager.DeleteSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DeleteSecretOutput, error) {
	return nil, f.err
}

func TestOperationsErrors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err  error
		gone bool
	}{
		"none":           {&types.ResourceNotFoundException{}, true},
		"on its way out": {&types.InvalidRequestException{Message: new("You can't perform this operation on the secret because it was marked for deletion.")}, true},
		"not allowed":    {&types.InvalidRequestException{Message: new("no")}, false},
		"down":           {errors.New("down"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vault := secret.NewOperations(failing{test.err}, "stack")
			if _, err := vault.Open(t.Context(), "name"); errors.Is(err, provisioning.ErrNoPasswords) != test.gone || !test.gone && !errors.Is(err, test.err) {
				t.Errorf("Open: got %v", err)
			}
			if err := vault.Drop(t.Context(), "name"); test.gone != (err == nil) {
				t.Errorf("Drop: got %v", err)
			}
			if _, err := vault.Keep(t.Context(), operationID, provisioning.Passwords{Admin: "hunter2"}); !errors.Is(err, test.err) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("Keep: got %v", err)
			}
		})
	}
}

// A list is secrets as Secrets Manager lists them, two a page.
type list struct {
	*testing.T
	failing
	entries []types.SecretListEntry
	pages   int
}

func (l *list) ListSecrets(_ context.Context, in *secretsmanager.ListSecretsInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.ListSecretsOutput, error) {
	if in.SortOrder != types.SortOrderTypeDesc {
		l.Errorf("the order is %s", in.SortOrder)
	}
	l.pages++
	at := 0
	if in.NextToken != nil {
		_, _ = fmt.Sscan(*in.NextToken, &at)
	}
	out := &secretsmanager.ListSecretsOutput{}
	for _, entry := range l.entries[at:] {
		if at++; strings.HasPrefix(aws.ToString(entry.Name), in.Filters[0].Values[0]) {
			out.SecretList = append(out.SecretList, entry)
		}
		if len(out.SecretList) == 2 {
			break
		}
	}
	if at < len(l.entries) {
		out.NextToken = new(fmt.Sprint(at))
	}
	return out, nil
}

func entry(name string, age time.Duration) types.SecretListEntry {
	return types.SecretListEntry{Name: &name, CreatedDate: new(time.Now().Add(-age))}
}

func TestInventory(t *testing.T) {
	t.Parallel()
	l := &list{T: t, entries: []types.SecretListEntry{
		entry("stack/operation/new/1", time.Minute),
		entry("stack/tenant/new/1", time.Minute),
		entry("stack/operation/a/1", 2*time.Hour),
		entry("stack/operation/a/2", 2*time.Hour),
		entry("stack/tenant/a/1", 2*time.Hour),
		entry("stack-2/tenant/b/1", 2*time.Hour),
		{Name: new("stack/tenant/undated/1")},
		entry("stack/tenant/b/1", 24*time.Hour),
		entry("stack/hash-key", 26*time.Hour),
		entry("stack/operation/c/1", 48*time.Hour),
		entry("stack/tenant/c/1", 26*time.Hour),
		entry("stack/tenant/d/1", 48*time.Hour),
		entry("stack/tenant/e/1", 48*time.Hour),
	}}
	inventory := secret.NewInventory(l, "stack")
	var got []string
	err := inventory.OperationSecrets(t.Context(), time.Hour, func(id operation.ID, name string) error {
		got = append(got, string(id)+" "+name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a stack/operation/a/1", "a stack/operation/a/2", "c stack/operation/c/1"}, got); diff != "" {
		t.Errorf("of operations (-want +got):\n%s", diff)
	}
	got, l.pages = nil, 0
	err = inventory.TenantSecrets(t.Context(), time.Hour, func(id identity.TenantID, name string) error {
		got = append(got, string(id)+" "+name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a stack/tenant/a/1", "b stack/tenant/b/1"}, got); diff != "" {
		t.Errorf("of tenants (-want +got):\n%s", diff)
	}
	if l.pages != 3 {
		t.Errorf("%d pages were read, want those of a day", l.pages)
	}
	stop := errors.New("stop")
	if err := inventory.OperationSecrets(t.Context(), 0, func(operation.ID, string) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v, want %v", err, stop)
	}
}

// TestInventoryOfStack lists and removes what is really there.
func TestInventoryOfStack(t *testing.T) {
	t.Parallel()
	client, stack := newClient(t)
	vault, inventory := secret.NewOperations(client, stack), secret.NewInventory(client, stack)
	kept, err := vault.Keep(t.Context(), operationID, provisioning.Passwords{Admin: "a"})
	if err != nil {
		t.Fatal(err)
	}
	ref, err := secret.NewTenants(client, stack).Create(t.Context(), tenantID, "1", withPassword("a fine password"))
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[identity.TenantID][]string{tenantID: {ref.Name}, tenantID[:8]: nil} {
		if got, err := inventory.OfTenant(t.Context(), id); err != nil || !cmp.Equal(want, got) {
			t.Errorf("of tenant %s: got %v, %v, want %v", id, got, err, want)
		}
	}
	sweep := func() (found []string) {
		t.Helper()
		err := errors.Join(
			inventory.OperationSecrets(t.Context(), 0, func(id operation.ID, name string) error {
				found = append(found, string(id)+" "+name)
				return inventory.Drop(t.Context(), name)
			}),
			inventory.TenantSecrets(t.Context(), 0, func(id identity.TenantID, name string) error {
				found = append(found, string(id)+" "+name)
				return inventory.Drop(t.Context(), name)
			}),
		)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if diff := cmp.Diff([]string{string(operationID) + " " + kept, string(tenantID) + " " + ref.Name}, sweep()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if left := sweep(); left != nil {
		t.Errorf("still there: %v", left)
	}
}
