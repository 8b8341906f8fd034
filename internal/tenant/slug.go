package tenant

import (
	"crypto/rand"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

const (
	maxSlug      = 63
	minSlug      = 3
	suffixLength = 6
)

// SlugCandidates returns the slugs to try, in order, for a tenant that was not
// given one. The last is random, and so is free.
func SlugCandidates(name string) []string {
	base := slugify(name)
	if len(base) < minSlug {
		base = strings.Trim("tenant-"+base, "-")
	}
	suffix := strings.ToLower(rand.Text()[:suffixLength])
	return []string{base, shorten(base, 2) + "-2", shorten(base, suffixLength+1) + "-" + suffix}
}

// slugify keeps the letters and digits that have an ASCII form, and puts a
// hyphen for each run of others.
func slugify(name string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(Fold(name)) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case unicode.Is(unicode.Mn, r):
		case !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	return shorten(strings.Trim(b.String(), "-"), 0)
}

// shorten makes room for more characters after a slug.
func shorten(slug string, room int) string {
	if len(slug) > maxSlug-room {
		slug = slug[:maxSlug-room]
	}
	return strings.Trim(slug, "-")
}

// Fold returns the form of a text in which searches compare it: upper and lower
// case, different ways to write one character, and white space of any length are
// the same.
func Fold(s string) string {
	folded := cases.Fold().String(norm.NFKC.String(s))
	folded = norm.NFKC.String(strings.ToLower(folded)) // folding makes Cherokee upper case
	return strings.Join(strings.Fields(folded), " ")
}
