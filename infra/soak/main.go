// Command soak puts mixed load on the whole set for a while, and then holds what the
// set has against what it was told: nothing may be lost, and nothing be there twice.
// It starts the set itself, as make local does, and fails if an answer is not the one
// that was due, if the books do not agree, if the load did not reach its rate, or if
// memory grows.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

// options say how much load there is, and on what.
type options struct {
	program  string        // that make local runs
	data     string        // the folder of the set
	rate     float64       // requests a second
	duration time.Duration // of the load
	inFlight int           // requests at once, at most
	tenants  int           // that there are before the load
	progress time.Duration // between two lines of progress
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1) //nolint:gocritic // there is nothing left to stop
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args, out)
	if err != nil {
		return err
	}
	s, err := startSet(ctx, o)
	if err != nil {
		return err
	}
	return errors.Join(soak(ctx, s, o, out), s.close())
}

func parse(args []string, out io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&o.program, "program", "bin/local", "the `program` behind make local")
	flags.StringVar(&o.data, "data", ".soak", "the `folder` of the set")
	flags.Float64Var(&o.rate, "rate", 200, "requests a `second`")
	flags.DurationVar(&o.duration, "duration", 10*time.Minute, "how long the load lasts")
	flags.IntVar(&o.inFlight, "in-flight", 64, "how many requests wait for their answers at once, at most; beyond that the load waits, and the rate falls")
	flags.IntVar(&o.tenants, "tenants", 20, "how many tenants most requests are about, of which a tenth are dedicated")
	flags.DurationVar(&o.progress, "progress", 30*time.Second, "the time between two lines of progress")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 || o.rate <= 0 || o.duration <= 0 || o.inFlight < 1 || o.tenants < 1 || o.progress <= 0 {
		return o, errors.New("all numbers must be above zero, and there are no arguments; see -h")
	}
	return o, nil
}

// soak puts load on s, and fails with all that is wrong then.
func soak(ctx context.Context, s *set, o options, out io.Writer) error {
	l := newLoad(s)
	say(out, "Making %d tenants.", o.tenants)
	if err := l.prepare(ctx, o.tenants); err != nil {
		return fmt.Errorf("before the load: %w", err)
	}
	say(out, "%.0f requests a second for %v.", o.rate, o.duration)
	watch := watchMemory(s.pid())
	reached := l.run(ctx, o, watch, out)
	watch.stop()
	if err := ctx.Err(); err != nil {
		return err
	}
	say(out, "The load is over. Ending %d calls.", len(l.live))
	l.drain(ctx, o.inFlight)
	say(out, "Holding the books against what the set has.")
	wrong := l.reconcile(ctx)

	l.record.table(out)
	growth := watch.table(out, reached)
	say(out, "\n%.1f requests a second were reached, of %.0f.", reached, o.rate)
	return verdict(out, slices.Concat(l.record.wrong(), wrong, growth, slow(reached, o.rate)))
}

// slow returns what is wrong if the rate that was reached is not the one that was
// asked for.
func slow(reached, asked float64) []string {
	const enough = 0.95
	if reached >= enough*asked {
		return nil
	}
	return []string{fmt.Sprintf("%.1f requests a second are less than %.0f %% of the %.0f that were asked for: "+
		"the machine is too slow, or busy with something else, or what was changed is; -rate asks for fewer", reached, 100*enough, asked)}
}

// verdict tells of all that is wrong.
func verdict(out io.Writer, wrong []string) error {
	const most = 30
	for i, w := range wrong {
		if i == most {
			say(out, "and %d more", len(wrong)-most)
			break
		}
		say(out, "WRONG: %s", w)
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%d things are wrong", len(wrong))
	}
	say(out, "Every answer was the one that was due, and nothing is lost or there twice.")
	return nil
}

func say(out io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
