package tenant

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
)

const (
	minRetentionHIPAA = 30
	maxRetentionPCI   = 365
)

// A complianceRule is what a compliance flag asks of a tenant.
type complianceRule struct {
	pointer string
	detail  string
	kept    func(Tenant) bool
}

// hipaa and pci are the one place where the policies stand.
var (
	hipaa = []complianceRule{
		{"#/data_encryption_enabled", "must be true while hipaa_enabled is true", func(t Tenant) bool { return t.DataEncryptionEnabled }},
		{"#/isolation", "must be dedicated while hipaa_enabled is true", func(t Tenant) bool { return t.Isolation == Dedicated }},
		{"#/retention_days", "must be at least 30 while hipaa_enabled is true", func(t Tenant) bool { return t.RetentionDays >= minRetentionHIPAA }},
	}
	pci = []complianceRule{
		{"#/data_encryption_enabled", "must be true while pci_enabled is true", func(t Tenant) bool { return t.DataEncryptionEnabled }},
		{"#/recording_enabled", "must be false, or retention_days at most 365, while pci_enabled is true", func(t Tenant) bool { return !t.RecordingEnabled || t.RetentionDays <= maxRetentionPCI }},
		{"#/meta_data", "must hold no card number while pci_enabled is true", func(t Tenant) bool { return !holdsCardNumber(t.MetaData) }},
	}
)

func (t Tenant) complianceFaults() fault.Fields {
	var f fault.Fields
	for _, policy := range []struct {
		on    bool
		rules []complianceRule
	}{{t.HIPAAEnabled, hipaa}, {t.PCIEnabled, pci}} {
		for _, rule := range policy.rules {
			if policy.on && !rule.kept(t) {
				f.Add(rule.pointer, "%s", rule.detail)
			}
		}
	}
	return f
}

// checkCompliance fails with fault.Forbidden if anyone but a platform admin
// turns a policy off.
func (t Tenant) checkCompliance(before Tenant, c identity.Caller) error {
	if c.IsPlatformAdmin() {
		return nil
	}
	var f fault.Fields
	if before.HIPAAEnabled && !t.HIPAAEnabled {
		f.Add("#/hipaa_enabled", "can be turned off by a platform admin only")
	}
	if before.PCIEnabled && !t.PCIEnabled {
		f.Add("#/pci_enabled", "can be turned off by a platform admin only")
	}
	if len(f) == 0 {
		return nil
	}
	return &fault.Error{Kind: fault.Forbidden, Detail: "only a platform admin may turn a compliance policy off", Fields: f}
}

// holdsCardNumber reports whether any string or number of a JSON text is a card
// number, or holds one.
func holdsCardNumber(text string) bool {
	dec := jsontext.NewDecoder(bytes.NewReader([]byte(text)))
	for {
		token, err := dec.ReadToken()
		if err != nil {
			return false
		}
		if kind := token.Kind(); (kind == '"' || kind == '0') && hasCardNumber(token.String()) {
			return true
		}
	}
}

// hasCardNumber reports whether s holds a run of 13 to 19 digits, spaces and
// hyphens ignored, that passes the Luhn check (ISO/IEC 7812-1, annex B).
func hasCardNumber(s string) bool {
	var digits []byte
	for i := 0; i <= len(s); i++ {
		switch {
		case i < len(s) && s[i] >= '0' && s[i] <= '9':
			digits = append(digits, s[i]-'0')
		case i < len(s) && (s[i] == ' ' || s[i] == '-'):
		default:
			if len(digits) >= 13 && len(digits) <= 19 && luhn(digits) {
				return true
			}
			digits = digits[:0]
		}
	}
	return false
}

func luhn(digits []byte) bool {
	sum := 0
	for i, d := range digits {
		n := int(d)
		if (len(digits)-i)%2 == 0 {
			n *= 2
			if n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	return sum%10 == 0
}
