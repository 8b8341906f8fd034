package secret_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/infra/local/engines"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/secret"
	"github.com/tenantry/tenantry/internal/tenant"
)

// moto starts the one moto of the process, which ends with it.
var moto = sync.OnceValues(func() (*engines.Engine, error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return nil, err
	}
	ctx, dir := context.Background(), filepath.Join(root, ".tools", "engines")
	if err := engines.Install(ctx, dir, os.Stderr); err != nil {
		return nil, err
	}
	return engines.StartMoto(ctx, dir, 0, io.Discard)
})

// newClient returns a client of Secrets Manager, and the name of a stack that
// nobody else uses.
func newClient(t *testing.T) (*secretsmanager.Client, string) {
	t.Helper()
	engine, err := moto()
	if err != nil {
		t.Fatal(err)
	}
	return secretsmanager.New(secretsmanager.Options{
		Region:       "us-east-1",
		BaseEndpoint: new(engine.URL.String()),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
	}), "test-" + rand.Text()
}

const tenantID = identity.TenantID("5c9e4b0a-7d24-4f7b-b1f5-2f6a0c8d1e93")

// withPassword returns secrets that can be told apart.
func withPassword(password string) tenant.Secrets {
	return tenant.Secrets{SIP: tenant.SIPPasswords{Current: password}}
}

// labels returns the staging labels of each version that has any.
func labels(t *testing.T, client *secretsmanager.Client, name string) map[string][]string {
	t.Helper()
	out, err := client.ListSecretVersionIds(t.Context(), &secretsmanager.ListSecretVersionIdsInput{SecretId: &name})
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string][]string{}
	for _, version := range out.Versions {
		if len(version.VersionStages) > 0 {
			labels[*version.VersionId] = slices.Sorted(slices.Values(version.VersionStages))
		}
	}
	return labels
}

func TestTenantsRoundTrip(t *testing.T) {
	client, stack := newClient(t)
	tenants := secret.NewTenants(client, stack)
	for name, secrets := range map[string]tenant.Secrets{
		"none":    {},
		"SIP":     withPassword(`"quoted" ünïcode`),
		"webhook": {Webhook: "webhook-secret"},
		"MongoDB": {MongoDB: tenant.DatabaseUser{Username: "tenant", Password: "p/w@"}},
		"all": {
			SIP: tenant.SIPPasswords{Current: "new", Previous: []tenant.FormerPassword{
				{Value: "old", ValidUntil: time.Date(2026, 11, 22, 1, 30, 0, 0, time.UTC)},
			}},
			Webhook: "webhook-secret",
		},
	} {
		ref, err := tenants.Write(t.Context(), tenantID, nil, secrets)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tenants.Read(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(secrets, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if prefix := stack + "/tenant/" + string(tenantID) + "/"; !strings.HasPrefix(ref.Name, prefix) {
			t.Errorf("%s: got the name %s, want it below %s", name, ref.Name, prefix)
		}
	}
}

func TestTenantsDocument(t *testing.T) {
	client, stack := newClient(t)
	ref, err := secret.NewTenants(client, stack).Create(t.Context(), tenantID, "1", tenant.Secrets{
		SIP: tenant.SIPPasswords{Current: "new", Previous: []tenant.FormerPassword{
			{Value: "old", ValidUntil: time.Date(2026, 11, 22, 1, 30, 0, 0, time.UTC)},
		}},
		Webhook: "webhook-secret",
		MongoDB: tenant.DatabaseUser{Username: "tenant", Password: "database-secret"},
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err := client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &ref.Name})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"sip":{"current":"new","previous":[{"value":"old","valid_until":"2026-11-22T01:30:00Z"}]},"webhook":"webhook-secret",` +
		`"mongodb":{"username":"tenant","password":"database-secret"}}`
	if got := *out.SecretString; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTenantsCreateAgain(t *testing.T) {
	client, stack := newClient(t)
	tenants := secret.NewTenants(client, stack)
	var refs []tenant.SecretRef
	for range 2 {
		ref, err := tenants.Create(t.Context(), tenantID, "operation-1", withPassword("first"))
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, ref)
	}
	if refs[0] != refs[1] || refs[0].Name != stack+"/tenant/"+string(tenantID)+"/operation-1" {
		t.Errorf("got %v", refs)
	}
	if _, err := tenants.Create(t.Context(), tenantID, "operation-1", withPassword("other")); err == nil {
		t.Error("other secrets took the place of the first")
	}
	for range 2 {
		if err := tenants.Delete(t.Context(), tenantID, "operation-1"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tenants.Read(t.Context(), refs[0]); err == nil {
		t.Error("the secret is still there")
	}
}

// Whatever becomes of a version that is written, the one that the row names can
// be read, and in the end no other has a label.
func TestTenantsVersions(t *testing.T) {
	client, stack := newClient(t)
	tenants := secret.NewTenants(client, stack)
	write := func(before *tenant.SecretRef, password string) *tenant.SecretRef {
		t.Helper()
		ref, err := tenants.Write(t.Context(), tenantID, before, withPassword(password))
		if err != nil {
			t.Fatal(err)
		}
		return &ref
	}
	check := func(row *tenant.SecretRef, password string) {
		t.Helper()
		if got, err := tenants.Read(t.Context(), *row); err != nil || got.SIP.Current != password {
			t.Errorf("got %v, %v, want %s", got, err, password)
		}
	}

	row := write(nil, "first")
	tenants.Settle(t.Context(), nil, *row)

	refused := write(row, "refused")
	check(row, "first")
	tenants.Discard(t.Context(), row, *refused)
	check(row, "first")
	if diff := cmp.Diff(map[string][]string{row.Version: {"AWSCURRENT"}}, labels(t, client, row.Name)); diff != "" {
		t.Errorf("after a change that was refused (-want +got):\n%s", diff)
	}

	died := write(row, "died")
	second := write(row, "second")
	check(row, "first")
	tenants.Settle(t.Context(), row, *second)
	check(second, "second")
	if diff := cmp.Diff(map[string][]string{
		row.Version: {"AWSPREVIOUS"}, died.Version: {died.Version}, second.Version: sorted("AWSCURRENT", second.Version),
	}, labels(t, client, row.Name)); diff != "" {
		t.Errorf("after a change (-want +got):\n%s", diff)
	}

	third := write(second, "third")
	tenants.Settle(t.Context(), second, *third)
	check(third, "third")
	if diff := cmp.Diff(map[string][]string{
		second.Version: {"AWSPREVIOUS"}, died.Version: {died.Version}, third.Version: sorted("AWSCURRENT", third.Version),
	}, labels(t, client, row.Name)); diff != "" {
		t.Errorf("after another change (-want +got):\n%s", diff)
	}
}

func sorted(texts ...string) []string { return slices.Sorted(slices.Values(texts)) }

// A secret of which no row came to name the first version goes.
func TestTenantsDiscardFirst(t *testing.T) {
	client, stack := newClient(t)
	tenants := secret.NewTenants(client, stack)
	ref, err := tenants.Write(t.Context(), tenantID, nil, withPassword("refused"))
	if err != nil {
		t.Fatal(err)
	}
	tenants.Discard(t.Context(), nil, ref)
	if _, err := tenants.Read(t.Context(), ref); err == nil {
		t.Error("the secret is still there")
	}
}

// An agedClient says that every version is older than it is.
type agedClient struct{ *secretsmanager.Client }

func (c agedClient) ListSecretVersionIds(ctx context.Context, in *secretsmanager.ListSecretVersionIdsInput, options ...func(*secretsmanager.Options)) (*secretsmanager.ListSecretVersionIdsOutput, error) {
	out, err := c.Client.ListSecretVersionIds(ctx, in, options...)
	if err == nil {
		for i := range out.Versions {
			out.Versions[i].CreatedDate = new(time.Now().Add(-2 * time.Hour))
		}
	}
	return out, err
}

// Versions of requests that died lose their labels after a while.
func TestTenantsStranded(t *testing.T) {
	client, stack := newClient(t)
	tenants := secret.NewTenants(agedClient{client}, stack)
	var refs []tenant.SecretRef
	var before *tenant.SecretRef
	for _, password := range []string{"first", "died", "died too", "second"} {
		ref, err := tenants.Write(t.Context(), tenantID, before, withPassword(password))
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, ref)
		before = &refs[0]
	}
	tenants.Settle(t.Context(), before, refs[3])
	want := map[string][]string{refs[0].Version: {"AWSPREVIOUS"}, refs[3].Version: sorted("AWSCURRENT", refs[3].Version)}
	if diff := cmp.Diff(want, labels(t, client, refs[0].Name)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What cannot be cleaned up now is logged, without a secret in it.
func TestTenantsCannotCleanUp(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&log, nil)))
	defer slog.SetDefault(before)

	client, stack := newClient(t)
	tenants := secret.NewTenants(client, stack)
	gone := tenant.SecretRef{Name: stack + "/tenant/gone", Version: "version"}
	tenants.Settle(t.Context(), &gone, gone)
	tenants.Discard(t.Context(), &gone, gone)
	if got := strings.Count(log.String(), gone.Name); got < 2 {
		t.Errorf("got the log %s", log.String())
	}
}
