package cli

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/reconcile"
)

// sendingBack is one run of a command that sends trades back to the workers:
// parked release, or retry. What differs is which trades it takes.
type sendingBack struct {
	verb, done, noun string // release, released, parked trade
	filters          string // the flags that select, for messages
	why, by, subject string
	dryRun, yes      bool
	rate             float64
	canary           int
	patience         time.Duration

	// selects lists the trades of the filter.
	selects func(context.Context, *reconcile.Recorder) (iter.Seq2[reconcile.ParkedTrade, error], error)
	// fill completes the releaser with what the command's own flags say.
	fill func(*reconcile.Releaser)

	cmd *cobra.Command
	o   *office
	to  target
}

// flags adds what both commands have.
func (s *sendingBack) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.why, "reason", "", "why; required")
	f.StringVar(&s.by, "by", "", "who, if it is not the user of this machine")
	f.BoolVar(&s.dryRun, "dry-run", false, "report what would be done, and write nothing")
	f.BoolVar(&s.yes, "yes", false, s.verb+" what the filter selects; without it that is only shown")
	f.Float64Var(&s.rate, "rate", 2, "trades per second; 0 is no limit")
	f.IntVar(&s.canary, "canary", 3, "how many are "+s.done+" first and waited for; 0 is none")
	addDuration(f, &s.patience, "canary-wait", reconcile.DefaultCanaryPatience, "how long they are waited for")
	f.StringVar(&s.subject, "subject", "capture.jobs.released", "`subject` to publish the jobs to")
	addSettings(cmd)
}

// command is the command's RunE. check holds its own flags to being right, and
// reports whether a filter was given.
func (s *sendingBack) command(a *app, check func() (filtered bool, err error)) func(*cobra.Command, []string) error {
	return a.do(func(cmd *cobra.Command, args []string) error {
		filtered, err := check()
		if err != nil {
			return err
		}
		if err := s.check(args, filtered); err != nil {
			return err
		}
		s.cmd = cmd
		return a.withOffice(cmd, func(ctx context.Context, o *office) error {
			s.o = o
			return s.run(ctx, args)
		}, config.NeedGateway)
	})
}

func (s *sendingBack) check(args []string, filtered bool) (err error) {
	if (len(args) > 0) == filtered {
		return usageError("name trades, or select them with a filter such as %s; not both", s.filters)
	}
	if s.rate < 0 || s.canary < 0 || s.patience <= 0 {
		return usageError("--rate and --canary must not be negative, --canary-wait must be above zero")
	}
	if err := checkReason(s.why); err != nil {
		return err
	}
	if s.by, err = actor(s.by); err != nil {
		return err
	}
	return checkTrades(args)
}

func (s *sendingBack) run(ctx context.Context, ids []string) (err error) {
	if err := checkSubject(s.subject, s.o.c.Jobs); err != nil {
		return err
	}
	// Before anything is written: a job that cannot go out helps nobody.
	if s.to, err = findTarget(ctx, s.o.js, s.o.c, s.subject, false); err != nil {
		return fmt.Errorf("nothing was %s: %w", s.done, err)
	}
	byFilter := len(ids) == 0
	if byFilter {
		if ids, err = s.selected(ctx); err != nil {
			return err
		}
	}
	releaser := &reconcile.Releaser{
		Recorder: s.o.recorder, Query: s.o.query, By: s.by, Note: s.why,
		Publish: releasePublisher(s.o.js, mappingOf(s.o.c), s.to),
	}
	s.fill(releaser)
	if s.dryRun || byFilter && !s.yes {
		return s.preview(ctx, releaser, ids)
	}
	return s.release(ctx, releaser, ids)
}

// selected lists the trades of the filter, and prints their money.
func (s *sendingBack) selected(ctx context.Context) ([]string, error) {
	walk, err := s.selects(ctx, s.o.recorder)
	if err != nil {
		return nil, err
	}
	var ids []string
	var money reconcile.Money
	for trade, err := range walk {
		if err != nil {
			return nil, err
		}
		ids = append(ids, trade.TradeID)
		money.Add(trade.Amount)
	}
	w := s.cmd.ErrOrStderr()
	fmt.Fprintf(w, "selected: %s\n", counted(len(ids), s.noun))
	return ids, printMoney(w, "selected", money)
}

func (s *sendingBack) preview(ctx context.Context, releaser *reconcile.Releaser, ids []string) error {
	tally := newReleaseTally(s.cmd.OutOrStdout(), true)
	pace := newPace(s.rate)
	for _, id := range ids {
		if err := pace.Wait(ctx); err != nil {
			return err
		}
		found, err := releaser.Preview(ctx, id)
		if err != nil {
			return err
		}
		tally.add(found)
	}
	tally.end()
	if s.dryRun {
		fmt.Fprintln(s.cmd.OutOrStdout(), "nothing was written (--dry-run)")
	} else {
		fmt.Fprintf(s.cmd.OutOrStdout(), "nothing was written; add --yes to %s them\n", s.verb)
	}
	return tally.asError()
}

func (s *sendingBack) release(ctx context.Context, releaser *reconcile.Releaser, ids []string) error {
	tally := newReleaseTally(s.cmd.OutOrStdout(), false)
	rollout := reconcile.Rollout{
		Releaser: releaser, Rate: s.rate, Canary: s.canary, Patience: s.patience,
		Waiting: func(canaries []string) {
			fmt.Fprintf(s.cmd.ErrOrStderr(), "waiting for the first %d to end, at most %s\n", len(canaries), s.patience)
		},
	}
	for done, err := range rollout.Run(ctx, ids) {
		if err != nil {
			tally.end()
			return err
		}
		tally.add(done)
	}
	tally.end()
	return tally.asError()
}
