package tenant

import (
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
)

const (
	maxName        = 255
	maxPlanName    = 100
	maxMetaData    = 16 << 10
	minSecret      = 12
	maxSecret      = 128
	maxSIPUsername = 64
	maxCalls       = 1000
	maxRetention   = 3650
	maxWebhookWait = 60
	maxEmail       = 254
	maxLocalPart   = 64
	maxURL         = 2048
)

// Patterns are compiled when they are first used: most functions start without need
// of them.
var (
	slugPattern = pattern(`^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`)
	hostPattern = pattern(`^(?i:[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+(?i:[a-z][a-z0-9-]{0,61}[a-z0-9])$`)
	sipUser     = pattern(`^[A-Za-z0-9._~!$&'()*+,;=-]+$`)
)

func pattern(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}

var recordingFormats = map[string]bool{"mp4": true, "mp3": true, "wav": true, "ogg": true}

// faults returns every rule that the tenant breaks, whoever asks for it.
func (t Tenant) faults() fault.Fields {
	var f fault.Fields
	name := strings.TrimSpace(t.Name)
	if n := utf8.RuneCountInString(name); n < 1 || n > maxName {
		f.Add("#/name", "must be 1 to %d characters after trimming", maxName)
	}
	if !slugPattern().MatchString(t.Slug) {
		f.Add("#/slug", "must be 3 to 63 lower-case letters, digits and hyphens, the first and last no hyphen")
	}
	if _, ok := Plans[t.BillingPlan]; !ok {
		f.Add("#/billing_plan", "must be %s, %s or %s", Starter, Business, Enterprise)
	}
	if t.Country != nil && !isCountry(*t.Country) {
		f.Add("#/country", "must be an ISO 3166-1 alpha-2 code in upper case, such as ID or US")
	}
	between(&f, "#/max_concurrent_calls", t.MaxConcurrentCalls, 1, maxCalls)
	notNegative(&f, "#/monthly_call_limit", t.MonthlyCallLimit)
	notNegative(&f, "#/limits/max_agents", t.Limits.MaxAgents)
	notNegative(&f, "#/limits/max_contacts", t.Limits.MaxContacts)
	notNegative(&f, "#/limits/max_messages_month", t.Limits.MaxMessagesMonth)
	t.sipFaults(&f)
	if !recordingFormats[t.RecordingFormat] {
		f.Add("#/recording_format", "must be mp4, mp3, wav or ogg")
	}
	between(&f, "#/retention_days", t.RetentionDays, 1, maxRetention)
	if t.WebhookURL != nil && !isPublicHTTPS(*t.WebhookURL) {
		f.Add("#/webhook_url", "must be an https URL with a public host name or address")
	}
	between(&f, "#/webhook_timeout_seconds", t.WebhookTimeoutSeconds, 1, maxWebhookWait)
	metaDataFaults(&f, t.MetaData)
	if t.Isolation != Pooled && t.Isolation != Dedicated {
		f.Add("#/isolation", "must be %s or %s", Pooled, Dedicated)
	}
	return append(f, t.complianceFaults()...)
}

func (t Tenant) sipFaults(f *fault.Fields) {
	switch {
	case t.SIPDomain == nil && t.SIPEnabled:
		f.Add("#/sip_domain", "is required when sip_enabled is true")
	case t.SIPDomain != nil && !isHostName(*t.SIPDomain):
		f.Add("#/sip_domain", "must be a host name in lower case, such as sip.example.com")
	}
	switch {
	case t.SIPUsername == nil && t.SIPEnabled:
		f.Add("#/sip_username", "is required when sip_enabled is true")
	case t.SIPUsername != nil && (len(*t.SIPUsername) > maxSIPUsername || !sipUser().MatchString(*t.SIPUsername)):
		f.Add("#/sip_username", "must be 1 to %d letters, digits or marks that a SIP user name may hold", maxSIPUsername)
	}
}

// MetaDataFaults returns every rule that the meta_data of something breaks that
// the tenant has.
func (t Tenant) MetaDataFaults(text string) fault.Fields {
	var f fault.Fields
	metaDataFaults(&f, text)
	if t.PCIEnabled && HoldsCardNumber(text) {
		f.Add("#/meta_data", noCardNumber)
	}
	return f
}

func metaDataFaults(f *fault.Fields, text string) {
	if !strings.HasPrefix(text, "{") {
		f.Add("#/meta_data", "must be an object")
	}
	if len(text) > maxMetaData {
		f.Add("#/meta_data", "must be at most %d bytes of JSON", maxMetaData)
	}
}

func between(f *fault.Fields, pointer string, n, least, most int) {
	if n < least || n > most {
		f.Add(pointer, "must be from %d to %d", least, most)
	}
}

func notNegative(f *fault.Fields, pointer string, n int) {
	if n < 0 {
		f.Add(pointer, "must not be negative")
	}
}

// IsEmail reports whether s is an address that mail can be sent to, without a
// display name: a mailbox of RFC 5321, section 4.1.2, in ASCII, of the lengths of
// section 4.5.3.1, at a host with a name.
func IsEmail(s string) bool {
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || len(s) > maxEmail || !isASCII(s) {
		return false
	}
	at := strings.LastIndexByte(s, '@')
	return at <= maxLocalPart && isHostName(strings.ToLower(s[at+1:]))
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}

func isHostName(s string) bool {
	return len(s) <= 253 && s == strings.ToLower(s) && hostPattern().MatchString(s)
}

// isPublicHTTPS reports whether a URL may be called by the platform without
// reaching its own network.
func isPublicHTTPS(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || len(s) > maxURL {
		return false
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return false
		}
	}
	host := strings.ToLower(u.Hostname())
	if addr, err := netip.ParseAddr(host); err == nil {
		return isPublicAddress(addr.Unmap())
	}
	for _, private := range []string{".local", ".internal", ".localhost", ".home.arpa", ".test", ".invalid"} {
		if strings.HasSuffix(host, private) {
			return false
		}
	}
	return isHostName(host)
}

// reservedNetworks are not on the internet, or lead to IPv4 addresses that may
// not be (RFC 6890).
var reservedNetworks = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("2001::/23"),
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("3fff::/20"),
}

// allocatedIPv6 is all of IPv6 that is given out so far.
var allocatedIPv6 = netip.MustParsePrefix("2000::/3")

func isPublicAddress(a netip.Addr) bool {
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.Is6() && !allocatedIPv6.Contains(a) {
		return false
	}
	for _, network := range reservedNetworks {
		if network.Contains(a) {
			return false
		}
	}
	return true
}

// checkSelfService fails if the change from before to t takes more than c may
// give: with fault.PlanCeiling if it is over the plan, and with fault.Forbidden
// if it turns a compliance policy off. It names all of that.
func (t Tenant) checkSelfService(before Tenant, c identity.Caller) error {
	if c.IsPlatformAdmin() {
		return nil
	}
	ceiling, policies := t.ceilingFaults(before), t.policyFaults(before)
	switch {
	case ceiling != nil:
		return &fault.Error{Kind: fault.PlanCeiling, Detail: "this is more than you can give yourself; ask a platform admin", Fields: append(ceiling, policies...)}
	case policies != nil:
		return &fault.Error{Kind: fault.Forbidden, Detail: "only a platform admin may turn a compliance policy off", Fields: policies}
	}
	return nil
}

// ceilingFaults returns what only a platform admin may give. What a tenant was
// given stays while it stays on its plan.
func (t Tenant) ceilingFaults(before Tenant) fault.Fields {
	var f fault.Fields
	moved := t.BillingPlan != before.BillingPlan
	switch {
	case moved && !selfService[t.BillingPlan]:
		f.Add("#/billing_plan", "%s is a platform admin's to give", t.BillingPlan)
	case moved && !selfService[before.BillingPlan]:
		f.Add("#/billing_plan", "%s is a platform admin's to take back", before.BillingPlan)
	}
	plan := Plans[t.BillingPlan]
	over := func(pointer string, now, old, ceiling int) {
		if now > ceiling && (moved || now != old) {
			f.Add(pointer, "is %d, and the plan %s allows %d", now, t.BillingPlan, ceiling)
		}
	}
	over("#/max_concurrent_calls", t.MaxConcurrentCalls, before.MaxConcurrentCalls, plan.MaxConcurrentCalls)
	over("#/monthly_call_limit", t.MonthlyCallLimit, before.MonthlyCallLimit, plan.MonthlyCallLimit)
	over("#/limits/max_agents", t.Limits.MaxAgents, before.Limits.MaxAgents, plan.Limits.MaxAgents)
	over("#/limits/max_contacts", t.Limits.MaxContacts, before.Limits.MaxContacts, plan.Limits.MaxContacts)
	over("#/limits/max_messages_month", t.Limits.MaxMessagesMonth, before.Limits.MaxMessagesMonth, plan.Limits.MaxMessagesMonth)
	return f
}
