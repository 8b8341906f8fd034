// Command local runs the whole set on one machine, without an AWS account: the
// functions behind a gateway, and what stands in for AWS behind them. The gateway
// is ours, or the SAM CLI's. It ends all of it on SIGINT and SIGTERM.
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
	"strings"
	"syscall"

	"github.com/tenantry/tenantry/infra/local/sam"
	"github.com/tenantry/tenantry/infra/local/stack"
)

const usage = `Usage: local [flags]

Runs the API and all that it needs on this machine, until SIGINT or SIGTERM.
Each start begins empty. make local builds the functions first.

A flag's default is the environment variable in brackets, if that is set.

`

func main() {
	if err := run(os.Args[1:], os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "local:", err)
		os.Exit(1)
	}
}

// run runs the stack that args and environment describe until a signal comes.
func run(args []string, getenv func(string) string, out io.Writer) error {
	options, err := parse(args, getenv, out)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	options.Out = out
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if options.sam.Build != "" {
		engine, err := sam.FindEngine(ctx)
		if err != nil {
			return err
		}
		options.AWSHost, options.NoAPI = engine.Host, true
	}
	s, err := stack.Start(ctx, options.Options)
	if ctx.Err() != nil {
		return nil // it was told to stop before it was up
	}
	if err != nil {
		return err
	}
	err = serve(ctx, s, options)
	stop() // a second signal ends the program at once
	return errors.Join(err, s.Close())
}

// serve keeps s up until ctx ends or something fails.
func serve(ctx context.Context, s *stack.Stack, o options) error {
	if o.sam.Build != "" {
		return serveInContainers(ctx, s, o)
	}
	banner(o.Out, s.Info())
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.Failed():
		return err
	}
}

// serveInContainers does the same with SAM in front of s.
func serveInContainers(ctx context.Context, s *stack.Stack, o options) error {
	_, _ = fmt.Fprintln(o.Out, "Starting the first container. The very first time, an image is made for it.")
	api, err := sam.Start(ctx, s, o.sam)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	banner(o.Out, s.Info())
	select {
	case <-ctx.Done():
	case err = <-s.Failed():
	case <-api.Done():
		err = errors.New("sam has ended")
	}
	return errors.Join(err, api.Close())
}

// options are those of a stack, and how its API is served by SAM.
type options struct {
	stack.Options
	sam sam.Options
}

// parse reads flags, and the environment for those that are not given. It
// writes a help text to out, and fails with flag.ErrHelp, when asked for one.
func parse(args []string, getenv func(string) string, out io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("local", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	flags.StringVar(&o.Template, "template", "template.yaml", "the `file` that says what there is")
	flags.StringVar(&o.Bin, "bin", "bin", "the `folder` of the compiled functions")
	flags.StringVar(&o.Engines, "engines", filepath.Join(".tools", "engines"), "the `folder` where the programs that stand in for AWS are installed")
	flags.StringVar(&o.Data, "data", ".local", "the `folder` for logs, mails and stack.json [DATA]")
	flags.BoolVar(&o.Strict, "strict", false, "be as unkind as AWS: conflicts, late indexes, double deliveries")
	flags.StringVar(&o.sam.Build, "sam", "", "serve the API in containers by sam local start-api, from the `folder` that sam build has made; needs a container engine")
	flags.StringVar(&o.sam.CLI, "sam-cli", filepath.Join(".tools", "sam", "bin", "sam"), "the `program` sam")
	port := flags.String("port", "3000", "the `port` of the API, 0 for any [PORT]")
	awsPort := flags.String("aws-port", "4566", "the `port` of the AWS endpoint, 0 for any [AWS_PORT]")
	parameters := flags.String("parameters", "", "parameters of the stack, as in `'A=1 B=2'` [PARAMETERS]")
	for name, variable := range map[string]string{"data": "DATA", "port": "PORT", "aws-port": "AWS_PORT", "parameters": "PARAMETERS"} {
		if v := getenv(variable); v != "" {
			if err := flags.Set(name, v); err != nil {
				return o, fmt.Errorf("%s: %w", variable, err)
			}
		}
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			_, _ = fmt.Fprint(out, usage)
			flags.SetOutput(out)
			flags.PrintDefaults()
		}
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q is not understood; see -h", flags.Arg(0))
	}
	var portErr, awsPortErr, parametersErr error
	o.Port, portErr = parsePort(*port, "PORT")
	o.AWSPort, awsPortErr = parsePort(*awsPort, "AWS_PORT")
	o.Parameters, parametersErr = parseParameters(*parameters)
	o.sam.Data = o.Data
	return o, errors.Join(portErr, awsPortErr, parametersErr)
}

func parsePort(text, variable string) (int, error) {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%s is %q, which is no port: it must be 0 to 65535", variable, text)
	}
	return int(port), nil
}

// parseParameters reads text such as "A=1 B=2".
func parseParameters(text string) (map[string]string, error) {
	parameters := map[string]string{}
	for pair := range strings.FieldsSeq(text) {
		name, v, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("PARAMETERS has %q, which is not of the form Name=value", pair)
		}
		if _, twice := parameters[name]; twice {
			return nil, fmt.Errorf("PARAMETERS has %s twice", name)
		}
		parameters[name] = v
	}
	return parameters, nil
}

// banner tells where the API is, and what to type first.
func banner(out io.Writer, info stack.Info) {
	_, _ = fmt.Fprintf(out, `
The API listens on %[1]s, the AWS endpoint on %[2]s.
The platform admin signs in as %[3]s with the password %[4]s

  curl -s %[1]s/health
  TOKEN=$(curl -s %[1]s/auth/token -H 'Content-Type: application/json' -d '{"username":"%[3]s","password":"%[4]s"}' | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  curl -s %[1]s/tenants -H "Authorization: Bearer $TOKEN"

Ctrl-C ends it.
`, info.APIURL, info.AWSEndpoint, info.Admin.Username, info.Admin.Password)
}
