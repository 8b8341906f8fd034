package platform

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// Flags adds the flags that name a stack.
func (c *Choice) Flags(flags *flag.FlagSet) {
	flags.StringVar(&c.Name, "stack", "", "the `name` of a deployed stack [STACK]")
	flags.StringVar(&c.Stage, "stage", "", "the `stage` of a deployed stack, a section of samconfig.toml [STAGE]")
	flags.StringVar(&c.Data, "data", ".local", "the data `folder` of make local [DATA]")
}

// Parse reads flags from args. A flag's default is the environment variable of its
// name in capitals, if that is set, as make passes what it is given. It fails with
// flag.ErrHelp where help was asked for, and has written usage and the flags to out.
func Parse(flags *flag.FlagSet, usage string, args []string, getenv func(string) string, out io.Writer) error {
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	var errs []error
	flags.VisitAll(func(f *flag.Flag) {
		variable := strings.ToUpper(f.Name)
		v := getenv(variable)
		if v == "" {
			return
		}
		if err := flags.Set(f.Name, v); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", variable, err))
		}
	})
	if err := errors.Join(errs...); err != nil {
		return err
	}
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprint(out, usage)
		flags.SetOutput(out)
		flags.PrintDefaults()
	}
	if err == nil && flags.NArg() > 0 {
		return fmt.Errorf("%q is not understood; see -h", flags.Arg(0))
	}
	return err
}
