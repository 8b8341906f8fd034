package tenant

import (
	"bytes"
	"math/big"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenantry/tenantry/internal/fault"
)

const (
	minRetentionHIPAA = 30
	maxRetentionPCI   = 365
	minCardDigits     = 13
	maxCardDigits     = 19
)

const noCardNumber = "must hold no card number while pci_enabled is true"

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
		{"#/meta_data", noCardNumber, func(t Tenant) bool { return !HoldsCardNumber(t.MetaData) }},
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

// policyFaults returns the policies that the change from before to t turns off.
func (t Tenant) policyFaults(before Tenant) fault.Fields {
	var f fault.Fields
	if before.HIPAAEnabled && !t.HIPAAEnabled {
		f.Add("#/hipaa_enabled", "can be turned off by a platform admin only")
	}
	if before.PCIEnabled && !t.PCIEnabled {
		f.Add("#/pci_enabled", "can be turned off by a platform admin only")
	}
	return f
}

// HoldsCardNumber reports whether any string or number of a JSON text is a card
// number, or holds one.
func HoldsCardNumber(text string) bool {
	dec := jsontext.NewDecoder(bytes.NewReader([]byte(text)))
	for {
		token, err := dec.ReadToken()
		if err != nil {
			return false
		}
		if token.Kind() == '"' && hasCardNumber(token.String()) || token.Kind() == '0' && hasCardNumber(plainNumber(token.String())) {
			return true
		}
	}
}

// plainNumber writes a JSON number without an exponent, if it is an integer that
// could be a card number.
func plainNumber(s string) string {
	n, _, err := big.ParseFloat(s, 10, 128, big.ToNearestEven)
	if err != nil || !n.IsInt() || n.MantExp(nil) > 64 {
		return s
	}
	return n.Text('f', 0)
}

// hasCardNumber reports whether s holds 13 to 19 digits that pass the Luhn check
// (ISO/IEC 7812-1, annex B), in groups that nothing but spaces and hyphens
// separates. Other groups may stand around them: a date, or the security code.
func hasCardNumber(s string) bool {
	var digits []byte
	var starts []int // of the groups, in digits
	for i := 0; i <= len(s); i++ {
		switch {
		case i < len(s) && isDigit(s[i]):
			if i == 0 || !isDigit(s[i-1]) {
				starts = append(starts, len(digits))
			}
			digits = append(digits, s[i]-'0')
		case i < len(s) && (s[i] == ' ' || s[i] == '-'):
		default:
			if groupsHoldCardNumber(digits, append(starts, len(digits))) {
				return true
			}
			digits, starts = digits[:0], starts[:0]
		}
	}
	return false
}

// groupsHoldCardNumber looks at every row of neighbouring groups, which begin and
// end at bounds.
func groupsHoldCardNumber(digits []byte, bounds []int) bool {
	for i, from := range bounds {
		for _, to := range bounds[i+1:] {
			if to-from > maxCardDigits {
				break
			}
			if to-from >= minCardDigits && luhn(digits[from:to]) {
				return true
			}
		}
	}
	return false
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

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
