package tenant_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
)

func TestCompliance(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*tenant.Draft)
		want []string
	}{
		"HIPAA": {func(d *tenant.Draft) { d.HIPAAEnabled, d.RetentionDays = patch.Of(true), patch.Of(30) }, nil},
		"HIPAA, everything wrong": {func(d *tenant.Draft) {
			d.HIPAAEnabled, d.DataEncryptionEnabled, d.RetentionDays = patch.Of(true), patch.Of(false), patch.Of(29)
			d.Isolation = patch.Of(tenant.Pooled)
		}, []string{
			"#/data_encryption_enabled must be true while hipaa_enabled is true",
			"#/isolation must be dedicated while hipaa_enabled is true",
			"#/retention_days must be at least 30 while hipaa_enabled is true",
		}},
		"PCI": {func(d *tenant.Draft) { d.PCIEnabled, d.RetentionDays = patch.Of(true), patch.Of(365) }, nil},
		"PCI without recordings": {func(d *tenant.Draft) {
			d.PCIEnabled, d.RetentionDays, d.RecordingEnabled = patch.Of(true), patch.Of(366), patch.Of(false)
		}, nil},
		"PCI, everything wrong": {func(d *tenant.Draft) {
			d.PCIEnabled, d.DataEncryptionEnabled, d.RetentionDays = patch.Of(true), patch.Of(false), patch.Of(366)
			d.MetaData = patch.Of(`{"card":"4111 1111 1111 1111"}`)
		}, []string{
			"#/data_encryption_enabled must be true while pci_enabled is true",
			"#/recording_enabled must be false, or retention_days at most 365, while pci_enabled is true",
			"#/meta_data must hold no card number while pci_enabled is true",
		}},
		"neither": {func(d *tenant.Draft) {
			d.DataEncryptionEnabled, d.RetentionDays, d.MetaData = patch.Of(false), patch.Of(3650), patch.Of(`{"card":"4111111111111111"}`)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := tenant.Draft{Settings: tenant.Settings{Name: patch.Of("Acme")}}
			test.edit(&d)
			if diff := cmp.Diff(test.want, lines(d.Faults().Err())); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// holdsCard reports whether meta_data is refused for a card number.
func holdsCard(metaData string) bool {
	d := tenant.Draft{Settings: tenant.Settings{Name: patch.Of("Acme"), PCIEnabled: patch.Of(true), MetaData: patch.Of(metaData)}}
	return len(d.Faults()) != 0
}

func TestCardNumbers(t *testing.T) {
	for metaData, want := range map[string]bool{
		`{"a":"4111111111111111"}`:                      true,
		`{"a":4111111111111111}`:                        true,
		`{"a":-4111111111111111}`:                       true,
		`{"a":4.111111111111111e15}`:                    true,
		`{"a":4111111111111111.0}`:                      true,
		`{"a":"4111 1111 1111 1111"}`:                   true,
		`{"a":"4111-1111-1111-1111"}`:                   true,
		`{"a":"4111 - 1111 - 1111 - 1111"}`:             true,
		`{"a":"the card 4111111111111111, exp 12/29"}`:  true,
		`{"a":"4111 1111 1111 1111 123"}`:               true, // and the security code
		`{"a":"2026-11-22 4111111111111111"}`:           true, // and a date
		`{"a":"5555555555554444 4111111111111112"}`:     true,
		`{"a":{"b":[1,{"c":["x","378282246310005"]}]}}`: true,
		`{"4111111111111111":1}`:                        true,
		`{"a":"6304000000000000"}`:                      true,
		`{"a":"4222222222222"}`:                         true,  // 13 digits
		`{"a":"6011000990139424000"}`:                   false, // 19 that fail the check
		`{"a":"4111111111111112"}`:                      false,
		`{"a":"411111111111111"}`:                       false,
		`{"a":"000000000000"}`:                          false, // 12
		`{"a":"00000000000000000000"}`:                  false, // 20
		`{"a":"41111111 x 11111111"}`:                   false,
		`{"a":"+62 812 3456 7890"}`:                     false,
		`{"a":1e300,"b":1e-300,"c":1.5,"d":true}`:       false,
		`{"a":1e999999999}`:                             false,
		`{}`:                                            false,
	} {
		if got := holdsCard(metaData); got != want {
			t.Errorf("%s: got %t, want %t", metaData, got, want)
		}
	}
}

// A card number is found wherever it stands and however it is grouped.
func TestCardNumbersAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		digits := rapid.SliceOfN(rapid.IntRange(0, 9), 12, 18).Draw(t, "digits")
		digits = append(digits, checkDigit(digits))
		var card strings.Builder
		for i, d := range digits {
			if i > 0 {
				card.WriteString(rapid.SampledFrom([]string{"", "", "", " ", "-", " - "}).Draw(t, "separator"))
			}
			fmt.Fprint(&card, d)
		}
		around := rapid.StringMatching(`([a-z]* ?[0-9/]{0,4}[a-z,: ])?`)
		text := around.Draw(t, "before") + card.String() + rapid.StringMatching(`([,a-z ]( ?[0-9]{3})?)?`).Draw(t, "after")
		if !holdsCard(`{"a":["x",{"b":"` + text + `"}]}`) {
			t.Fatalf("%q is not found", text)
		}
	})
}

// checkDigit returns the digit that makes a number pass the Luhn check.
func checkDigit(digits []int) int {
	sum := 0
	for i, d := range digits {
		if (len(digits)-i)%2 == 1 {
			d *= 2
		}
		sum += d/10 + d%10
	}
	return (10 - sum%10) % 10
}

// Turning PCI on tells of the agents that hold card numbers beside every other rule.
func TestTurnPCIOn(t *testing.T) {
	breaking := tenant.Patch{Settings: tenant.Settings{PCIEnabled: patch.Of(true), DataEncryptionEnabled: patch.Of(false)}}
	for name, test := range map[string]struct {
		on    bool
		cards int
		want  []string
	}{
		"no cards":   {false, 0, []string{"#/data_encryption_enabled"}},
		"cards":      {false, 2, []string{"#/pci_enabled", "#/data_encryption_enabled"}},
		"on already": {true, 2, []string{"#/data_encryption_enabled"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory(newTenant(func(t *tenant.Tenant) { t.PCIEnabled = test.on }))
			m.cards = test.cards
			_, err := tenant.NewService(m, m).Update(t.Context(), platformAdmin, tenantID, nil, func(tenant.Tenant) (tenant.Patch, fault.Fields) { return breaking, nil })
			var got []string
			if f, ok := errors.AsType[*fault.Error](err); ok {
				for _, field := range f.Fields {
					got = append(got, field.Pointer)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}
