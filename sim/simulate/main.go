// Command simulate runs the deterministic simulation over many seeds.
//
//	simulate -seeds 100000            seeds 1 to 100000
//	simulate -seeds 50 -crash         and each crash point of each of them
//	simulate -seed 4711               the history of one seed
//	simulate -day hostile             a day of one shop per seed, and what it parks
//	simulate -day repeats             a quarter of the calls -1000, repeats refused
//
// Exit codes: 0 no rule was broken, 1 one was, 2 wrong usage.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"time"

	"github.com/capture-worker/capture-worker/sim"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

type options struct {
	many    sim.Many
	one     uint64
	crashAt int
	quiet   bool
	day     string
}

func run(args []string, out, errs io.Writer) int {
	var o options
	flags := flag.NewFlagSet("simulate", flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.IntVar(&o.many.Seeds, "seeds", 10000, "how many seeds to run")
	flags.Uint64Var(&o.many.Start, "start", 1, "the first seed")
	flags.IntVar(&o.many.Parallel, "parallel", 0, "histories at a time; 0 is one for each processor")
	flags.BoolVar(&o.many.CrashPoints, "crash", false, "run every crash point of every seed")
	flags.Uint64Var(&o.one, "seed", 0, "print the history of this seed only")
	flags.IntVar(&o.crashAt, "crash-at", 0, "with -seed: the crash point to run")
	flags.BoolVar(&o.quiet, "quiet", false, "no progress; one line for a failure, which is not shrunk")
	flags.StringVar(&o.day, "day", "", "`kind` of plan: hostile, repeats, or empty for random plans")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return 2
	}
	plan, known := days[o.day]
	if !known {
		fmt.Fprintf(errs, "-day is %q: must be hostile, repeats or empty\n", o.day)
		return 2
	}
	o.many.Plan = plan
	if o.one > 0 {
		return one(&o, out)
	}
	return many(&o, out, errs)
}

var days = map[string]func(uint64) sim.Plan{"": sim.NewPlan, "hostile": sim.HostileDay, "repeats": sim.RepeatsRefused}

func one(o *options, out io.Writer) int {
	p := o.many.Plan(o.one)
	p.CrashAt = o.crashAt
	r := sim.Run(p, nil)
	r.Describe(out)
	if r.Violation != nil {
		return 1
	}
	return 0
}

func many(o *options, out, errs io.Writer) int {
	// Histories are short-lived, so rare garbage collection with more memory is
	// faster.
	debug.SetGCPercent(400)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	began := time.Now()
	if !o.quiet {
		shown := make(chan struct{})
		ctx, end := context.WithCancel(ctx)
		go func() { defer close(shown); progress(ctx, &o.many, began, errs) }()
		defer func() { end(); <-shown }()
	}
	report := o.many.Run(ctx)
	fmt.Fprint(out, report.Counts.Table())
	fmt.Fprintf(out, "%d seeds in %s\n", o.many.Done.Load(), time.Since(began).Round(time.Millisecond))
	if report.Failed == nil {
		return 0
	}
	fmt.Fprintf(out, "seed %d: %s\n", report.Failed.Seed, sim.Run(*report.Failed, nil).Violation)
	if !o.quiet {
		fmt.Fprintln(out, "\nshrunken:")
		sim.Shrink(*report.Failed).Describe(out)
	}
	return 1
}

func progress(ctx context.Context, m *sim.Many, began time.Time, out io.Writer) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			fmt.Fprintln(out)
			return
		case <-tick.C:
			done := m.Done.Load()
			fmt.Fprintf(out, "\r%d of %d seeds, %.0f a second ", done, m.Seeds, float64(done)/time.Since(began).Seconds())
		}
	}
}
