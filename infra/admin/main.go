// Command admin makes somebody a platform admin of a stack.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"

	"github.com/tenantry/tenantry/infra/platform"
)

const usage = `Usage: admin -email ADDRESS [-stack NAME | -stage STAGE | -data FOLDER] [-promote]

Makes somebody a platform admin: of the stack of that name, of the one that
samconfig.toml names for the stage, or else of the set that make local runs.
Somebody new gets an invitation by mail, with a temporary password that nobody else
sees. Doing it again is harmless: an invitation that is open is mailed again.

Deployed stacks are found, and changed, with the credentials of the AWS CLI:
AWS_PROFILE, AWS_REGION and so on. README.md tells what they must allow.

A flag's default is the environment variable in brackets, if that is set.

`

func main() {
	if err := run(os.Args[1:], os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "admin:", err)
		os.Exit(1)
	}
}

// options are what the command line and the environment ask for.
type options struct {
	email   string
	promote bool
	stack   platform.Choice
}

func run(args []string, getenv func(string) string, out io.Writer) error {
	o, err := parse(args, getenv, out)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	stack, err := o.stack.Find(ctx)
	if err != nil {
		return err
	}
	made, err := platform.NewAdmins(stack.Config(), stack.UserPoolID, stack.Table).Appoint(ctx, o.email, o.promote)
	if known, ok := errors.AsType[*platform.PromotionError](err); ok {
		return fmt.Errorf("%w; if that is whom you mean, run this again with PROMOTE=true", known)
	}
	if err != nil {
		return err
	}
	tell(out, o.email, stack, made)
	return nil
}

func parse(args []string, getenv func(string) string, out io.Writer) (options, error) {
	o := options{stack: platform.Choice{SAMConfig: "samconfig.toml"}}
	flags := flag.NewFlagSet("admin", flag.ContinueOnError)
	o.stack.Flags(flags)
	flags.StringVar(&o.email, "email", "", "whose e-mail `address` it is [EMAIL]")
	flags.BoolVar(&o.promote, "promote", false, "make it an account that is there already [PROMOTE]")
	err := platform.Parse(flags, usage, args, getenv, out)
	switch {
	case err != nil:
		return o, err
	case o.email == "":
		return o, errors.New("say who, as in make admin EMAIL=grace@example.com")
	case o.stack.Name != "" && o.stack.Stage != "":
		return o, errors.New("STACK and STAGE both name a stack; give one")
	}
	return o, nil
}

// tell says what was done, and what to do next.
func tell(out io.Writer, email string, stack platform.Stack, made platform.Appointment) {
	_, _ = fmt.Fprintf(out, "%s is a platform admin of %s (%s).\n", email, stack.Name, stack.APIURL)
	if !made.Invited {
		_, _ = fmt.Fprintf(out, "They sign in as before, with POST %s/auth/token; an older session has the role within a minute.\n", stack.APIURL)
		return
	}
	where := "an invitation with a temporary password is on its way to them, and good for 7 days"
	if stack.Data != "" {
		where = "the invitation with a temporary password is in " + filepath.Join(stack.Data, "mail")
	}
	_, _ = fmt.Fprintf(out, `Next: %s. They choose a password of their own with

  POST %s/auth/token
  {"username":%s,"password":"the temporary one","new_password":"one of their own"}

and from then on sign in without new_password.
`, where, stack.APIURL, strconv.Quote(email))
}
