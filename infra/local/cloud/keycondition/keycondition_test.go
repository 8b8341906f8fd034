package keycondition_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/infra/local/cloud/keycondition"
)

func TestEqual(t *testing.T) {
	for expression, want := range map[string]map[string]string{
		"pk = :v":                          {"pk": ":v"},
		"#p=:v AND begins_with(sk, :w)":    {"partition": ":v"},
		"sk = :w and (#p  =  :v)":          {"sk": ":w", "partition": ":v"},
		"pk = :v AND sk BETWEEN :a AND :b": {"pk": ":v"},
		"pk = :v AND sk >= :a":             {"pk": ":v"},
		"pk = :v AND sk <= :a":             {"pk": ":v"},
		":v = pk":                          {},
		"begins_with(pk, :v)":              {},
		"":                                 {},
	} {
		got := keycondition.Equal(expression, map[string]string{"#p": "partition"})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", expression, diff)
		}
	}
}
