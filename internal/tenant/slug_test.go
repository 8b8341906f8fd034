package tenant_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
)

func TestSlugCandidates(t *testing.T) {
	for name, test := range map[string]struct{ name, first, second string }{
		"plain":       {"Nusantara Voice", "nusantara-voice", "nusantara-voice-2"},
		"accents":     {"Crème Brûlée GmbH", "creme-brulee-gmbh", "creme-brulee-gmbh-2"},
		"marks":       {" --Acme & Söhne, Inc.-- ", "acme-sohne-inc", "acme-sohne-inc-2"},
		"full width":  {"ＡＣＭＥ", "acme", "acme-2"},
		"trade mark":  {"Acme™", "acmetm", "acmetm-2"},
		"short":       {"HP", "tenant-hp", "tenant-hp-2"},
		"no letters":  {"日本", "tenant", "tenant-2"},
		"63":          {strings.Repeat("a", 63), strings.Repeat("a", 63), strings.Repeat("a", 61) + "-2"},
		"long":        {strings.Repeat("a", 255), strings.Repeat("a", 63), strings.Repeat("a", 61) + "-2"},
		"cut at mark": {strings.Repeat("a", 60) + " bcd", strings.Repeat("a", 60) + "-bc", strings.Repeat("a", 60) + "-2"},
	} {
		t.Run(name, func(t *testing.T) {
			got := tenant.SlugCandidates(test.name)
			if len(got) != 3 || got[0] != test.first || got[1] != test.second || got[2] == tenant.SlugCandidates(test.name)[2] {
				t.Errorf("got %q, want %q, %q and a random one", got, test.first, test.second)
			}
		})
	}
}

// Whatever the name, every candidate is a slug.
func TestSlugCandidatesAreSlugs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.String().Draw(t, "name")
		for _, slug := range tenant.SlugCandidates(name) {
			d := tenant.Draft{Settings: tenant.Settings{Name: patch.Of("Acme")}, Slug: patch.Of(slug)}
			if f := d.Faults(); f != nil {
				t.Fatalf("%q: %v", slug, f)
			}
		}
	})
}

func TestFold(t *testing.T) {
	for a, b := range map[string]string{
		"ACME":      "acme",
		"Straße":    "STRASSE",
		"café":      "cafe\u0301",
		"ＡＣＭＥ":      "acme",
		"ΣΑΣ":       "σας",
		"\u212bngs": "Ångs",
	} {
		if tenant.Fold(a) != tenant.Fold(b) {
			t.Errorf("%q and %q fold to %q and %q", a, b, tenant.Fold(a), tenant.Fold(b))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		folded := tenant.Fold(rapid.String().Draw(t, "text"))
		if tenant.Fold(folded) != folded || !utf8.ValidString(folded) {
			t.Fatalf("%q folds to %q", folded, tenant.Fold(folded))
		}
	})
}
