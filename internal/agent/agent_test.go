package agent_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/tenantry/tenantry/internal/agent"
	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
)

const tenantID = identity.TenantID("5c9e4b0a-7d24-4f7b-b1f5-2f6a0c8d1e93")

var owner = identity.Caller{Subject: "O", Role: identity.Owner, TenantID: tenantID, RequestID: "R"}

// A memory is a tenant and its one agent, an agent.Store and an
// agent.TenantGetter.
type memory struct {
	tenant  tenant.Tenant
	agent   agent.Agent
	records []audit.Record
	// outcome, where it is set, decides over a write before it is made.
	outcome func() error
	writes  int
}

func newMemory() *memory {
	t := tenant.Draft{Settings: tenant.Settings{Name: patch.Of("Acme")}, ID: patch.Of(tenantID), Slug: patch.Of("acme")}.Tenant(time.Now())
	t.Status = tenant.Active
	return &memory{tenant: t}
}

func (m *memory) write(r audit.Record) error {
	m.writes++
	if m.outcome != nil {
		if err := m.outcome(); err != nil {
			return err
		}
	}
	m.records = append(m.records, r)
	return nil
}

func (m *memory) Create(_ context.Context, _ tenant.Tenant, a agent.Agent, r audit.Record, _ *idempotency.Record) error {
	if err := m.write(r); err != nil {
		return err
	}
	m.agent = a
	return nil
}

func (m *memory) Update(_ context.Context, _ tenant.Tenant, _, after agent.Agent, r audit.Record) error {
	if err := m.write(r); err != nil {
		return err
	}
	m.agent = after
	return nil
}

func (m *memory) Delete(_ context.Context, _ tenant.Tenant, _ agent.Agent, r audit.Record) error {
	return m.write(r)
}

// tenants is a memory as an agent.TenantGetter.
type tenants struct{ *memory }

func (m tenants) Get(context.Context, identity.TenantID) (tenant.Tenant, error) { return m.tenant, nil }

func (m *memory) Get(_ context.Context, _ tenant.Tenant, id agent.ID) (agent.Agent, error) {
	if m.agent.ID != id {
		return agent.Agent{}, agent.NotFound(id)
	}
	return m.agent, nil
}

// create makes an agent of m.
func (m *memory) create(t *testing.T, s agent.Settings) (agent.Agent, error) {
	t.Helper()
	none := func(agent.Agent) (*idempotency.Record, error) { return nil, nil }
	return agent.NewService(m, tenants{m}).Create(t.Context(), owner, tenantID, s, nil, none)
}

// update changes the agent of m.
func (m *memory) update(t *testing.T, s agent.Settings) (agent.Agent, error) {
	t.Helper()
	edit := func(agent.Agent) (agent.Settings, fault.Fields) { return s, nil }
	return agent.NewService(m, tenants{m}).Update(t.Context(), owner, tenantID, m.agent.ID, nil, edit)
}

func TestRules(t *testing.T) {
	set := func(edit func(*agent.Settings)) agent.Settings {
		s := agent.Settings{Name: patch.Of("Sales")}
		edit(&s)
		return s
	}
	language := func(tag string) agent.Settings {
		return set(func(s *agent.Settings) { s.Language = patch.Of(&tag) })
	}
	const noLanguage = "#/language must be a language tag (BCP 47), such as id or en-US"
	for name, test := range map[string]struct {
		settings agent.Settings
		want     string // the fault, or ""
	}{
		"a name":                {agent.Settings{Name: patch.Of(strings.Repeat("é", 255) + " ")}, ""},
		"no name":               {agent.Settings{}, "#/name must be 1 to 255 characters after trimming"},
		"a long name":           {agent.Settings{Name: patch.Of(strings.Repeat("é", 256))}, "#/name must be 1 to 255 characters after trimming"},
		"a long prompt":         {set(func(s *agent.Settings) { s.SystemPrompt = patch.Of(new(strings.Repeat("é", 16<<10))) }), ""},
		"a longer prompt":       {set(func(s *agent.Settings) { s.SystemPrompt = patch.Of(new(strings.Repeat("é", 16<<10) + "x")) }), "#/system_prompt must be at most 32768 bytes in UTF-8"},
		"an empty prompt":       {set(func(s *agent.Settings) { s.SystemPrompt = patch.Of(new("")) }), ""},
		"a long voice":          {set(func(s *agent.Settings) { s.Voice = patch.Of(new(strings.Repeat("é", 100))) }), ""},
		"a longer voice":        {set(func(s *agent.Settings) { s.Voice = patch.Of(new(strings.Repeat("é", 101))) }), "#/voice must be 1 to 100 characters"},
		"meta_data":             {set(func(s *agent.Settings) { s.MetaData = patch.Of(`{"a":"` + strings.Repeat("x", 16<<10-8) + `"}`) }), ""},
		"much meta_data":        {set(func(s *agent.Settings) { s.MetaData = patch.Of(`{"a":"` + strings.Repeat("x", 16<<10-7) + `"}`) }), "#/meta_data must be at most 16384 bytes of JSON"},
		"meta_data of a kind":   {set(func(s *agent.Settings) { s.MetaData = patch.Of(`[]`) }), "#/meta_data must be an object"},
		"a card number":         {set(func(s *agent.Settings) { s.MetaData = patch.Of(`{"a":4111111111111111}`) }), ""},
		"a language":            {language("en"), ""},
		"a long language":       {language("zh-Hant-TW-x-abcdefgh-abcdefgh-abcd"), ""},
		"a longer language":     {language("zh-Hant-TW-x-abcdefgh-abcdefgh-abcde"), noLanguage},
		"no language":           {language(""), noLanguage},
		"a locale":              {language("en_US"), noLanguage},
		"the name of one":       {language("english"), noLanguage},
		"an unknown one":        {language("qq"), noLanguage},
		"a cut off one":         {language("en-"), noLanguage},
		"one with a line break": {language("en\n"), noLanguage},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			_, err := m.create(t, test.settings)
			got := ""
			if f, ok := errors.AsType[*fault.Error](err); ok {
				for _, field := range f.Fields {
					got += field.Pointer + " " + field.Detail
				}
			}
			if got != test.want || (err == nil) != (test.want == "") || (m.writes == 1) != (err == nil) {
				t.Errorf("got %q and %v, want %q", got, err, test.want)
			}
		})
	}
}

// One language is written in one way.
func TestCanonicalLanguage(t *testing.T) {
	for tag, want := range map[string]string{
		"en": "en", "EN-us": "en-US", "zh-HANT-tw": "zh-Hant-TW", "in": "id", "es-419": "es-419", "de-1996": "de-1996", "i-klingon": "tlh",
	} {
		m := newMemory()
		a, err := m.create(t, agent.Settings{Name: patch.Of("Sales"), Language: patch.Of(&tag)})
		if err != nil || *a.Language != want {
			t.Errorf("%s: got %v, %v, want %s", tag, a.Language, err, want)
			continue
		}
		if again, err := m.update(t, agent.Settings{Language: patch.Of(&want)}); err != nil || again.Version != 1 {
			t.Errorf("%s is not canonical: %+v, %v", want, again, err)
		}
	}
}

func TestCreate(t *testing.T) {
	m := newMemory()
	got, err := m.create(t, agent.Settings{Name: patch.Of(" Sales "), SystemPrompt: patch.Of(new("a secret of the house")), MetaData: patch.Of(`{"a":1}`)})
	if err != nil {
		t.Fatal(err)
	}
	if id, err := uuid.Parse(string(got.ID)); err != nil || id.Version() != 7 {
		t.Errorf("the id is %s", got.ID)
	}
	want := agent.Agent{
		ID: got.ID, TenantID: tenantID, Name: "Sales", SystemPrompt: new("a secret of the house"), MetaData: `{"a":1}`,
		CreatedAt: got.CreatedAt, UpdatedAt: got.CreatedAt, Version: 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	record := audit.Record{
		TenantID: tenantID, Action: audit.AgentCreated, Target: agent.Target(got.ID),
		Origin:  audit.Origin{Actor: audit.Actor{Kind: audit.User, ID: "O"}, RequestID: "R"},
		Changes: []audit.Change{{Field: "name", To: "Sales"}, {Field: "system_prompt", Redacted: true}, {Field: "meta_data", Redacted: true}},
	}
	m.records[0].ID, m.records[0].Time = "", time.Time{}
	if diff := cmp.Diff([]audit.Record{record}, m.records); diff != "" {
		t.Errorf("the audit (-want +got):\n%s", diff)
	}
	later, err := m.create(t, agent.Settings{Name: patch.Of("Support")})
	if err != nil || later.ID <= got.ID {
		t.Errorf("got %s after %s, %v", later.ID, got.ID, err)
	}
}

// A change that meets another is made on what is there then, or refused by it.
func TestMeetsAnother(t *testing.T) {
	met := fault.New(fault.Conflict, "changed meanwhile")
	for name, test := range map[string]struct {
		other func(m *memory)
		want  fault.Kind
	}{
		"of the agent":       {func(m *memory) { m.agent.Voice, m.agent.Version = new("nova"), 2 }, ""},
		"of the status":      {func(m *memory) { m.tenant.Status = tenant.Suspended }, fault.TenantSuspended},
		"of the agent's end": {func(m *memory) { m.agent = agent.Agent{} }, fault.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				made, err := m.create(t, agent.Settings{Name: patch.Of("Sales")})
				if err != nil {
					t.Fatal(err)
				}
				m.outcome = func() error {
					m.outcome = nil
					test.other(m)
					return met
				}
				got, err := agent.NewService(m, tenants{m}).Update(t.Context(), owner, tenantID, made.ID, nil, func(agent.Agent) (agent.Settings, fault.Fields) {
					return agent.Settings{Name: patch.Of("Support")}, nil
				})
				if fault.KindOf(err) != test.want {
					t.Fatalf("got %v, want %q", err, test.want)
				}
				if test.want == "" && (got.Name != "Support" || *got.Voice != "nova" || got.Version != 3) {
					t.Errorf("got %+v", got)
				}
			})
		})
	}
}

// What is never made is not tried again and again.
func TestFailedTenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.tenant.Status = tenant.Failed
		start := time.Now()
		if _, err := m.create(t, agent.Settings{Name: patch.Of("Sales")}); !errors.Is(err, fault.Conflict) || time.Since(start) != 0 {
			t.Errorf("got %v after %s, want fault.Conflict at once", err, time.Since(start))
		}
	})
}
