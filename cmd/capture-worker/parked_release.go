package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/reconcile"
)

// releasing is one run of parked release.
type releasing struct {
	parkedFlags
	why, by, subject string
	dryRun, yes      bool
	rate             float64
	canary           int
	patience         time.Duration

	cmd *cobra.Command
	o   *office
	to  target
}

const releaseLong = `Sends parked trades back to the workers: those that are named, or with --yes
those that the filter selects.

Each is asked about with Order Query first. Still authorized: a released event
with who and why is written, and the job is published to --subject. Paid, dead
or otherwise ended: that outcome is written instead. In any other case, and
above all where the query tells nothing, the release is refused; nothing
overrides that. A trade whose case was closed (parked dismiss) is refused too,
unless --dismissed is given.

Of many, the first few (--canary) are released and waited for; the others follow
only when none of them was parked again. --dry-run asks and writes nothing. A
release that was cut short is finished by naming its trade again.

Exit codes: 0 all released or settled; 1 it failed or broke off; 2 wrong usage
or configuration; 3 some were refused.`

func newParkedReleaseCmd(a *app) *cobra.Command {
	r := &releasing{}
	cmd := &cobra.Command{
		Use:   "release [TRADE...]",
		Short: "Send parked trades back to the workers",
		Long:  releaseLong,
		Example: `  capture-worker parked release T-7 --reason 'the gateway is back'
  capture-worker parked release --only unresolved --reason 'the gateway is back' --dry-run
  capture-worker parked release --only unresolved --reason 'the gateway is back' --yes --rate 5`,
	}
	r.add(cmd, "only")
	f := cmd.Flags()
	f.StringVar(&r.why, "reason", "", "why; required")
	f.BoolVar(&r.dismissed, "dismissed", false, "also those whose case a person has closed")
	f.StringVar(&r.by, "by", "", "who, where it is not the user of this machine")
	f.BoolVar(&r.dryRun, "dry-run", false, "say what would be done, and write nothing")
	f.BoolVar(&r.yes, "yes", false, "release what the filter selects; without it that is only shown")
	f.Float64Var(&r.rate, "rate", 2, "trades per second; 0 is no limit")
	f.IntVar(&r.canary, "canary", 3, "how many are released first and waited for; 0 is none")
	addDuration(f, &r.patience, "canary-wait", reconcile.DefaultCanaryPatience, "how long they are waited for")
	f.StringVar(&r.subject, "subject", "capture.jobs.released", "`subject` to publish the jobs to")
	addSettings(cmd)
	cmd.RunE = a.do(func(cmd *cobra.Command, args []string) error {
		if err := r.check(args); err != nil {
			return err
		}
		r.cmd = cmd
		return a.withOffice(cmd, func(ctx context.Context, o *office) error {
			r.o = o
			return r.run(ctx, args)
		}, config.NeedGateway)
	})
	return cmd
}

func (r *releasing) check(args []string) (err error) {
	if (len(args) > 0) == r.set() {
		return usageError("name trades, or select them with a filter such as --only; not both")
	}
	if _, err := r.filter(); err != nil {
		return err
	}
	if r.rate < 0 || r.canary < 0 || r.patience <= 0 {
		return usageError("--rate and --canary must not be negative, --canary-wait must be above zero")
	}
	if err := checkReason(r.why); err != nil {
		return err
	}
	if r.by, err = actor(r.by); err != nil {
		return err
	}
	return checkTrades(args)
}

func (r *releasing) run(ctx context.Context, ids []string) (err error) {
	if err := checkSubject(r.subject, r.o.c.Jobs); err != nil {
		return err
	}
	// Before anything is written: a job that cannot go out is no release.
	if r.to, err = findTarget(ctx, r.o.js, r.o.c, r.subject, false); err != nil {
		return fmt.Errorf("nothing was released: %w", err)
	}
	byFilter := len(ids) == 0
	if byFilter {
		if ids, err = r.selected(ctx); err != nil {
			return err
		}
	}
	releaser := &reconcile.Releaser{
		Clerk: r.o.clerk, Query: r.o.query, By: r.by, Note: r.why, Dismissed: r.dismissed,
		Publish: releasePublisher(r.o.js, mappingOf(r.o.c), r.to),
	}
	if r.dryRun || byFilter && !r.yes {
		return r.preview(ctx, releaser, ids)
	}
	return r.release(ctx, releaser, ids)
}

// selected lists the trades of the filter, and tells their money.
func (r *releasing) selected(ctx context.Context) ([]string, error) {
	filter, err := r.filter()
	if err != nil {
		return nil, err
	}
	var ids []string
	var money reconcile.Money
	for trade, err := range r.o.clerk.Parked(ctx, filter) {
		if err != nil {
			return nil, err
		}
		ids = append(ids, trade.TradeID)
		money.Add(trade.Amount)
	}
	w := r.cmd.ErrOrStderr()
	fmt.Fprintf(w, "selected: %s\n", counted(len(ids), "parked trade"))
	return ids, printMoney(w, "selected", money)
}

func (r *releasing) preview(ctx context.Context, releaser *reconcile.Releaser, ids []string) error {
	tally := newReleaseTally(r.cmd.OutOrStdout(), true)
	pace := newPace(r.rate)
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
	if r.dryRun {
		fmt.Fprintln(r.cmd.OutOrStdout(), "nothing was written (--dry-run)")
	} else {
		fmt.Fprintln(r.cmd.OutOrStdout(), "nothing was written; add --yes to release them")
	}
	return tally.asError()
}

func (r *releasing) release(ctx context.Context, releaser *reconcile.Releaser, ids []string) error {
	out := r.cmd.OutOrStdout()
	tally := newReleaseTally(out, false)
	rollout := reconcile.Rollout{
		Releaser: releaser, Rate: r.rate, Canary: r.canary, Patience: r.patience,
		Waiting: func(canaries []string) {
			fmt.Fprintf(r.cmd.ErrOrStderr(), "waiting for the first %d to end, at most %s\n", len(canaries), r.patience)
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

// releaseTally prints what became of each trade, and counts.
type releaseTally struct {
	w       io.Writer
	preview bool
	counts  map[reconcile.Fate]int
	money   map[reconcile.Fate]*reconcile.Money
}

func newReleaseTally(w io.Writer, preview bool) *releaseTally {
	return &releaseTally{w: w, preview: preview, counts: map[reconcile.Fate]int{}, money: map[reconcile.Fate]*reconcile.Money{}}
}

func (t *releaseTally) add(r reconcile.Release) {
	t.counts[r.Fate]++
	if t.money[r.Fate] == nil {
		t.money[r.Fate] = &reconcile.Money{}
	}
	t.money[r.Fate].Add(r.Amount)
	fmt.Fprintf(t.w, "%s  %s  %s: %s\n", r.TradeID, r.Amount, t.word(r.Fate), r.Why)
}

func (t *releaseTally) word(f reconcile.Fate) string {
	if !t.preview {
		return string(f)
	}
	switch f {
	case reconcile.WasReleased:
		return "eligible"
	case reconcile.WasRefused:
		return "would be refused"
	}
	return "would be " + string(f)
}

func (t *releaseTally) end() {
	fmt.Fprintln(t.w)
	for _, f := range []reconcile.Fate{reconcile.WasReleased, reconcile.WasResumed, reconcile.WasSettled, reconcile.WasRefused} {
		if n := t.counts[f]; n > 0 {
			fmt.Fprintf(t.w, "%s: %d\n", t.word(f), n)
			_ = printMoney(t.w, "  money", *t.money[f]) // as the line above, to the same place
		}
	}
}

func (t *releaseTally) asError() error {
	if n := t.counts[reconcile.WasRefused]; n > 0 {
		return foundError("refused: %s, see above", counted(n, "trade"))
	}
	return nil
}
