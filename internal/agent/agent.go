// Package agent holds the AI agents of tenants, and the rules that every change
// of one must keep. It knows neither HTTP nor AWS.
package agent

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/text/language"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
)

const (
	maxName         = 255
	maxSystemPrompt = 32 << 10 // bytes
	maxVoice        = 100
	maxLanguage     = 35 // as RFC 5646, section 4.4.1, has it
)

// An ID names an agent. It is a UUID in its canonical form. Those of later agents
// are greater.
type ID string

// An Agent is one AI agent of a tenant.
type Agent struct {
	ID       ID
	TenantID identity.TenantID
	Name     string

	SystemPrompt *string
	Voice        *string
	Language     *string // a language tag (BCP 47) in its canonical form
	MetaData     string  // a JSON object

	CreatedAt time.Time
	UpdatedAt time.Time
	Version   int64 // of the stored row; 1 when it is new
}

// Settings are what a client may set when an agent is made, and change later. A
// field that is not set stays as it is.
type Settings struct {
	Name         patch.Field[string]
	SystemPrompt patch.Field[*string]
	Voice        patch.Field[*string]
	Language     patch.Field[*string]
	MetaData     patch.Field[string]
}

// newAgent returns the agent of a tenant that is made with the settings.
func newAgent(id identity.TenantID, s Settings, now time.Time) Agent {
	return s.apply(Agent{
		ID:        ID(uuid.Must(uuid.NewV7()).String()),
		TenantID:  id,
		MetaData:  "{}",
		CreatedAt: now,
		UpdatedAt: now,
		Version:   1,
	})
}

// apply returns a with the settings, in the form in which they are kept.
func (s Settings) apply(a Agent) Agent {
	a.Name = strings.TrimSpace(s.Name.Or(a.Name))
	a.SystemPrompt = s.SystemPrompt.Or(a.SystemPrompt)
	a.Voice = s.Voice.Or(a.Voice)
	a.Language = canonical(s.Language.Or(a.Language))
	a.MetaData = s.MetaData.Or(a.MetaData)
	return a
}

// canonical returns a language tag in its canonical form. What is none stays as
// it is, for the rules to refuse.
func canonical(tag *string) *string {
	if tag == nil || !isLanguage(*tag) {
		return tag
	}
	return new(language.Make(*tag).String())
}

// isLanguage reports whether s is a language tag whose subtags are known.
func isLanguage(s string) bool {
	if len(s) > maxLanguage || strings.Contains(s, "_") {
		return false
	}
	_, err := language.Parse(s)
	return err == nil
}

// faults returns every rule that an agent of the tenant breaks.
func (a Agent) faults(t tenant.Tenant) fault.Fields {
	var f fault.Fields
	if n := utf8.RuneCountInString(a.Name); n < 1 || n > maxName {
		f.Add("#/name", "must be 1 to %d characters after trimming", maxName)
	}
	if a.SystemPrompt != nil && len(*a.SystemPrompt) > maxSystemPrompt {
		f.Add("#/system_prompt", "must be at most %d bytes in UTF-8", maxSystemPrompt)
	}
	if a.Voice != nil && (*a.Voice == "" || utf8.RuneCountInString(*a.Voice) > maxVoice) {
		f.Add("#/voice", "must be 1 to %d characters", maxVoice)
	}
	if a.Language != nil && !isLanguage(*a.Language) {
		f.Add("#/language", "must be a language tag (BCP 47), such as id or en-US")
	}
	return append(f, t.MetaDataFaults(a.MetaData)...)
}

// HoldsCardNumber reports whether the meta_data of the agent does.
func (a Agent) HoldsCardNumber() bool { return tenant.HoldsCardNumber(a.MetaData) }

// Target returns the agent as the target of an action.
func Target(id ID) audit.Target { return audit.Of("agent", id) }

// audited is the fields whose values the audit tells.
var audited = []audit.Field[Agent]{
	{Name: "name", Value: func(a Agent) any { return a.Name }},
	{Name: "voice", Value: func(a Agent) any { return value(a.Voice) }},
	{Name: "language", Value: func(a Agent) any { return value(a.Language) }},
}

// Changes returns what is different between two versions of an agent, as
// audit.Compare does. That the prompt or meta_data is another one is told, and not
// what it is.
func Changes(before, after Agent) []audit.Change {
	changes := audit.Compare(audited, before, after)
	if value(before.SystemPrompt) != value(after.SystemPrompt) {
		changes = append(changes, audit.Change{Field: "system_prompt", Redacted: true})
	}
	if before.MetaData != after.MetaData {
		changes = append(changes, audit.Change{Field: "meta_data", Redacted: true})
	}
	return changes
}

// value returns what p points at, or nil.
func value(p *string) any {
	if p == nil {
		return nil
	}
	return *p
}

// NotFound says that there is no such agent, or none that the caller may know of.
func NotFound(id ID) error { return fault.New(fault.NotFound, "there is no agent %q", id) }
