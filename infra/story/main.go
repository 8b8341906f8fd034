// Command story does against a stack what people do with it: it signs up and in,
// makes a tenant, works in it, and takes it apart again.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"

	"github.com/tenantry/tenantry/infra/platform"
)

const usage = `Usage: story [-stack NAME | -stage STAGE | -url URL | -data FOLDER] [-admin LOGIN] [-email ADDRESS]

Does against a stack what people do with it, says how long each step took, and takes
away what it made: keys are revoked and tenants deleted, whether it comes to the end
or not. A tenant that is deleted is gone for good when the stack's time to restore it
is over. It exits with 1 if a step fails.

The stack is the one of that name, the one that samconfig.toml names for the stage
(both are asked for with the credentials of the AWS CLI), the one at that URL, or else
the set that make local runs, whose admin is known. Otherwise give -admin, a platform
admin; the password is the variable STORY_PASSWORD, or is asked for.

With -email, where you read mail, it signs up too, and asks for the code that is
mailed to you, if the stack wants one. The set of make local needs none.

A flag's default is the environment variable in brackets, if that is set.

`

func main() {
	if err := run(os.Args[1:], os.Getenv, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "story:", err)
		os.Exit(1)
	}
}

// options are what the command line and the environment ask for.
type options struct {
	stack platform.Choice
	url   string
	admin string
	email string
}

func run(args []string, getenv func(string) string, in io.Reader, out io.Writer) error {
	o, err := parse(args, getenv, out)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ask := questions{in: bufio.NewReader(in), out: out}
	s, err := o.story(ctx, getenv("STORY_PASSWORD"), ask)
	if err != nil {
		return err
	}
	s.out, s.ask = out, ask
	return s.tell(ctx)
}

func parse(args []string, getenv func(string) string, out io.Writer) (options, error) {
	o := options{stack: platform.Choice{SAMConfig: "samconfig.toml"}}
	flags := flag.NewFlagSet("story", flag.ContinueOnError)
	o.stack.Flags(flags)
	flags.StringVar(&o.url, "url", "", "the base `URL` of an API [URL]")
	flags.StringVar(&o.admin, "admin", "", "user name or e-mail address of a platform `admin` [ADMIN]")
	flags.StringVar(&o.email, "email", "", "an `address` to sign up with, where you read mail [EMAIL]")
	if err := platform.Parse(flags, usage, args, getenv, out); err != nil {
		return o, err
	}
	named := 0
	for _, v := range []string{o.stack.Name, o.stack.Stage, o.url} {
		if v != "" {
			named++
		}
	}
	if named > 1 {
		return o, errors.New("STACK, STAGE and URL each name a stack; give one")
	}
	return o, nil
}

// story returns the story of the stack that is meant.
func (o options) story(ctx context.Context, password string, ask questions) (*story, error) {
	s := &story{url: strings.TrimSuffix(o.url, "/"), email: o.email, admin: platform.Admin{Username: o.admin, Password: password}}
	if s.url == "" {
		stack, err := o.stack.Find(ctx)
		if err != nil {
			return nil, err
		}
		s.url = stack.APIURL
		if stack.Data != "" && o.admin == "" {
			s.admin = stack.Admin
		}
		if stack.Data != "" && s.email == "" {
			s.email = "story-" + word() + "@example.com"
		}
	}
	if s.admin.Username == "" {
		return nil, errors.New("say who is a platform admin there, with ADMIN; make admin makes one")
	}
	var err error
	if s.admin.Password == "" {
		s.admin.Password, err = ask.secret(ctx, "Password of "+s.admin.Username)
	}
	return s, err
}

// questions are put to whoever runs the program.
type questions struct {
	in  *bufio.Reader
	out io.Writer
}

func (q questions) ask(what string) (string, error) {
	_, _ = fmt.Fprintf(q.out, "%s: ", what)
	line, err := q.in.ReadString('\n')
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", errors.Join(fmt.Errorf("%s was not given", strings.ToLower(what[:1])+what[1:]), err)
	}
	return line, nil
}

// secret is ask for what the terminal, where there is one, is not to show.
func (q questions) secret(ctx context.Context, what string) (string, error) {
	stty := func(arg string) error {
		cmd := exec.CommandContext(context.WithoutCancel(ctx), "stty", arg) //nolint:gosec // our own argument
		cmd.Stdin = os.Stdin
		return cmd.Run()
	}
	if stty("-echo") == nil {
		defer func() { _ = stty("echo"); _, _ = fmt.Fprintln(q.out) }()
	}
	return q.ask(what)
}
