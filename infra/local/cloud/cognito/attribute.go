package cognito

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/tenantry/tenantry/infra/local/cloud/awsjson"
)

var (
	usernamePattern = regexp.MustCompile(`^[\p{L}\p{M}\p{S}\p{N}\p{P}]+$`)
	emailPattern    = regexp.MustCompile(`^[^\s@]+@[^\s@]+\.[^\s@]+$`)
)

// standardAttributes are those that every pool has.
var standardAttributes = []string{
	"address", "birthdate", "email", "email_verified", "family_name", "gender", "given_name", "locale", "middle_name",
	"name", "nickname", "phone_number", "phone_number_verified", "picture", "preferred_username", "profile", "sub",
	"updated_at", "website", "zoneinfo",
}

// An attribute is a name and a value, as the API writes them.
type attribute struct {
	Name  string
	Value string
}

type attributes []attribute

func (a attributes) get(name string) string {
	i := slices.IndexFunc(a, func(x attribute) bool { return x.Name == name })
	if i < 0 {
		return ""
	}
	return a[i].Value
}

// with returns the attributes with one of them changed.
func (a attributes) with(name, value string) attributes {
	others := slices.DeleteFunc(slices.Clone(a), func(x attribute) bool { return x.Name == name })
	return append(others, attribute{name, value})
}

func (a attributes) byName() map[string]string {
	m := make(map[string]string, len(a))
	for _, x := range a {
		m[x.Name] = x.Value
	}
	return m
}

// A schemaAttribute is an attribute that a pool declares.
type schemaAttribute struct {
	Name                       string
	Required                   bool
	Mutable                    bool
	StringAttributeConstraints struct {
		MinLength string
		MaxLength string
	}
}

// check returns what is wrong with a value, if anything.
func (s schemaAttribute) check(value string) string {
	n := len([]rune(value))
	if least, err := strconv.Atoi(s.StringAttributeConstraints.MinLength); err == nil && n < least {
		return "String must be no less than " + strconv.Itoa(least) + " character(s)"
	}
	most, err := strconv.Atoi(s.StringAttributeConstraints.MaxLength)
	if err != nil {
		most = 2048
	}
	if n > most {
		return "String must be no longer than " + strconv.Itoa(most) + " character(s)"
	}
	return ""
}

// checkAttributes checks values against the schema. With complete, the
// attributes that every user must have must be there.
func (p *pool) checkAttributes(given attributes, complete bool) error {
	var faults []string
	for _, a := range given {
		if fault := p.attributeFault(a); fault != "" {
			faults = append(faults, a.Name+": "+fault)
		}
	}
	for _, s := range p.SchemaAttributes {
		if complete && s.Required && s.Name != "sub" && given.get(s.Name) == "" {
			faults = append(faults, s.Name+": The attribute is required")
		}
	}
	if faults != nil {
		return awsjson.Errorf("InvalidParameterException", "Attributes did not conform to the schema: %s\n", strings.Join(faults, "\n"))
	}
	if email := given.get("email"); email != "" && !emailPattern.MatchString(email) {
		return awsjson.Errorf("InvalidParameterException", "Invalid email address format.")
	}
	return nil
}

func (p *pool) attributeFault(a attribute) string {
	i := slices.IndexFunc(p.SchemaAttributes, func(s schemaAttribute) bool { return s.Name == a.Name })
	switch {
	case i >= 0:
		return p.SchemaAttributes[i].check(a.Value)
	case slices.Contains(standardAttributes, a.Name):
		return schemaAttribute{}.check(a.Value)
	default:
		return "Attribute does not exist in the schema."
	}
}

// checkMutable refuses to change attributes that keep the value they were made with.
func (p *pool) checkMutable(change attributes) error {
	for _, s := range p.SchemaAttributes {
		if !s.Mutable && change.get(s.Name) != "" {
			return awsjson.Errorf("InvalidParameterException", "user.%s: Attribute cannot be updated.\n", s.Name)
		}
	}
	return nil
}

// checkWritable refuses attributes that a client must not write.
func (c *client) checkWritable(given attributes) error {
	for _, a := range given {
		reserved := slices.Contains([]string{"sub", "email_verified", "phone_number_verified"}, a.Name)
		if reserved || len(c.WriteAttributes) > 0 && !slices.Contains(c.WriteAttributes, a.Name) {
			return awsjson.Errorf("NotAuthorizedException", "A client attempted to write unauthorized attribute")
		}
	}
	return nil
}

func checkUsername(name string) error {
	if len([]rune(name)) > 128 || !usernamePattern.MatchString(name) {
		return awsjson.Errorf("InvalidParameterException",
			"1 validation error detected: Value at 'username' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\p{L}\\p{M}\\p{S}\\p{N}\\p{P}]+")
	}
	return nil
}

const maxPassword = 256

type passwordPolicy struct {
	MinimumLength    int
	RequireUppercase bool
	RequireLowercase bool
	RequireNumbers   bool
	RequireSymbols   bool
}

// check refuses a password that breaks the policy, as Cognito words it.
func (p passwordPolicy) check(password string) error {
	fault := ""
	switch {
	case len([]rune(password)) < p.MinimumLength:
		fault = "Password not long enough"
	case len([]rune(password)) > maxPassword:
		fault = "Password too long"
	case p.RequireUppercase && !strings.ContainsFunc(password, unicode.IsUpper):
		fault = "Password must have uppercase characters"
	case p.RequireLowercase && !strings.ContainsFunc(password, unicode.IsLower):
		fault = "Password must have lowercase characters"
	case p.RequireNumbers && !strings.ContainsFunc(password, unicode.IsDigit):
		fault = "Password must have numeric characters"
	case p.RequireSymbols && !strings.ContainsAny(password, "^$*.[]{}()?\"!@#%&/\\,><':;|_~`=+- "):
		fault = "Password must have symbol characters"
	default:
		return nil
	}
	return awsjson.Errorf("InvalidPasswordException", "Password did not conform with policy: %s", fault)
}
