package platform

import (
	"bytes"
	"errors"
	"flag"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for name, test := range map[string]struct {
		args        []string
		environment map[string]string
		want        string // the values, or the error
	}{
		"defaults":    {nil, nil, "  .local false"},
		"environment": {nil, map[string]string{"STACK": "a", "DATA": "b", "TWICE": "true", "USER": "c"}, "a  b true"},
		"arguments":   {[]string{"-stage", "prod", "-data=d"}, map[string]string{"STAGE": "dev", "DATA": "b"}, " prod d false"},
		"no boolean":  {nil, map[string]string{"TWICE": "often"}, `TWICE: parse error`},
		"unknown":     {[]string{"-often"}, nil, "flag provided but not defined: -often"},
		"left over":   {[]string{"-twice", "prod"}, nil, `"prod" is not understood; see -h`},
	} {
		t.Run(name, func(t *testing.T) {
			var c Choice
			flags := flag.NewFlagSet("test", flag.ContinueOnError)
			c.Flags(flags)
			flags.Bool("twice", false, "do it twice")
			err := Parse(flags, "Usage: test", test.args, func(name string) string { return test.environment[name] }, &bytes.Buffer{})
			got := strings.Join([]string{c.Name, c.Stage, c.Data, flags.Lookup("twice").Value.String()}, " ")
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestParseHelps(t *testing.T) {
	var c Choice
	var out bytes.Buffer
	flags := flag.NewFlagSet("test", flag.ContinueOnError)
	c.Flags(flags)
	err := Parse(flags, "Usage: test\n", []string{"-h"}, func(string) string { return "" }, &out)
	if !errors.Is(err, flag.ErrHelp) || !strings.HasPrefix(out.String(), "Usage: test\n") || !strings.Contains(out.String(), "-stage stage") {
		t.Errorf("got %v and %s", err, out.String())
	}
}
