package cli

import (
	"context"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"
	"golang.org/x/time/rate"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/history"
	"github.com/capture-worker/capture-worker/internal/jobfile"
	"github.com/capture-worker/capture-worker/internal/printable"
	"github.com/capture-worker/capture-worker/reconcile"
)

// sendingBack is one run of parked release or retry, which differ in the trades
// that they select.
type sendingBack struct {
	verb, done, noun string // release, released, parked trade
	filters          string // the flags that select, for messages
	why, by, subject string
	approval         approval
	dryRun, yes      bool
	rate             float64
	canary           int
	patience         time.Duration

	// selects lists the trades of the filter.
	selects func(context.Context, *ledgerDeps) (iter.Seq2[reconcile.ParkedTrade, error], error)
	// behind returns a warning if trades may be missing in the list; nil if none can.
	behind func(context.Context, *ledgerDeps) string
	// fill sets the fields of the releaser from the flags of the command.
	fill func(*reconcile.Releaser)

	cmd *cobra.Command
	o   *ledgerDeps
	to  target
}

// flags adds the flags that both commands have.
func (s *sendingBack) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.why, "reason", "", "why; required")
	f.StringVar(&s.by, "by", "", "`name` of the operator, if not the user of this machine")
	s.approval.add(f)
	f.BoolVar(&s.dryRun, "dry-run", false, "show the results without writing anything")
	f.BoolVar(&s.yes, "yes", false, s.verb+" what the filter selects; without it they are only listed")
	f.Float64Var(&s.rate, "rate", 2, "trades per second; 0 is no limit")
	f.IntVar(&s.canary, "canary", 3, "how many are "+s.done+" first and waited for; 0 is none")
	addDuration(f, &s.patience, "canary-wait", reconcile.DefaultCanaryTimeout, "longest wait for them")
	f.StringVar(&s.subject, "subject", "capture.jobs.released", "`subject` to publish the jobs to")
	addSettings(cmd)
}

// command returns the RunE of a command. check validates its own flags and reports
// whether a filter was given.
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
		return a.withLedger(cmd, func(ctx context.Context, o *ledgerDeps) error {
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
	if err := s.approval.check(s.by); err != nil {
		return err
	}
	return checkTrades(args)
}

func (s *sendingBack) run(ctx context.Context, ids []string) (err error) {
	if err := checkSubject(s.subject, s.o.c.Jobs); err != nil {
		return err
	}
	// Before anything is appended: the job must be publishable.
	if s.to, err = findTarget(ctx, s.o.js, s.o.c, s.subject); err != nil {
		return fmt.Errorf("nothing was %s: %w", s.done, err)
	}
	byFilter := len(ids) == 0
	if byFilter {
		if ids, err = s.selected(ctx); err != nil {
			return err
		}
	}
	mapping, _ := history.Mapping(ctx, s.o.js, s.o.c) // if the workers' is not known, jobs are of our own shape
	releaser := &reconcile.Releaser{
		Recorder: s.o.recorder, Query: s.o.query, By: s.by, Note: s.why, ApprovedBy: s.approval.by,
		Publish: releasePublisher(s.o.js, mapping, s.to, s.by),
	}
	s.fill(releaser)
	unapproved, err := s.unapproved(ctx, ids)
	switch {
	case err != nil:
		return err
	case s.dryRun || byFilter && !s.yes:
		return s.preview(ctx, releaser, ids, unapproved)
	case unapproved != "":
		return usageError("nothing was %s: %s", s.done, unapproved)
	}
	return s.release(ctx, releaser, ids)
}

// unapproved returns what a second operator has to approve of the sums that the
// trades ask for, "" if nothing.
func (s *sendingBack) unapproved(ctx context.Context, ids []string) (string, error) {
	if len(s.o.c.Approval.Above) == 0 || s.approval.by != "" {
		return "", nil
	}
	var sums jobfile.Sums
	for _, id := range ids {
		trade, err := s.o.ledger.LoadLatest(ctx, capture.TradeKey(id))
		if err != nil {
			return "", fmt.Errorf("reading the ledger of trade %s: %w", id, err)
		}
		if amount := trade.State().Job.Amount; !amount.IsZero() {
			sums.Add(amount, 1)
		}
	}
	return s.approval.missing(s.o.c, counted(len(ids), s.noun)+" of "+sums.String(), &sums)
}

// selected returns the trades of the filter, and prints their sums.
func (s *sendingBack) selected(ctx context.Context) ([]string, error) {
	walk, err := s.selects(ctx, s.o)
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
	if s.behind != nil {
		if text := s.behind(ctx, s.o); text != "" {
			fmt.Fprintln(w, text)
		}
	}
	fmt.Fprintf(w, "selected: %s\n", counted(len(ids), s.noun))
	return ids, printMoney(w, "selected", money)
}

func (s *sendingBack) preview(ctx context.Context, releaser *reconcile.Releaser, ids []string, unapproved string) error {
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
	if unapproved != "" {
		fmt.Fprintln(s.cmd.OutOrStdout(), unapproved)
	}
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
		Releaser: releaser, Rate: s.rate, Canary: s.canary, Timeout: s.patience,
		Waiting: func(canaries []string) {
			fmt.Fprintf(s.cmd.ErrOrStderr(), "waiting for the outcome of the first %d, at most %s\n", len(canaries), s.patience)
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

// releaseTally prints the result of each trade, and counts them.
type releaseTally struct {
	w       io.Writer
	preview bool
	counts  map[reconcile.ReleaseResult]int
	money   map[reconcile.ReleaseResult]*reconcile.Money
}

func newReleaseTally(w io.Writer, preview bool) *releaseTally {
	return &releaseTally{w: w, preview: preview, counts: map[reconcile.ReleaseResult]int{}, money: map[reconcile.ReleaseResult]*reconcile.Money{}}
}

func (t *releaseTally) add(r reconcile.Release) {
	t.counts[r.Result]++
	if t.money[r.Result] == nil {
		t.money[r.Result] = &reconcile.Money{}
	}
	t.money[r.Result].Add(r.Amount)
	fmt.Fprintln(t.w, printable.Line(fmt.Sprintf("%s  %s  %s: %s", r.TradeID, r.Amount, t.word(r.Result), r.Why)))
}

func (t *releaseTally) word(f reconcile.ReleaseResult) string {
	if !t.preview {
		return string(f)
	}
	switch f {
	case reconcile.ResultReleased, reconcile.ResultRetried:
		return "eligible"
	case reconcile.ResultRefused:
		return "would be refused"
	}
	return "would be " + string(f)
}

func (t *releaseTally) end() {
	fmt.Fprintln(t.w)
	for _, f := range []reconcile.ReleaseResult{reconcile.ResultReleased, reconcile.ResultRetried, reconcile.ResultRepublished, reconcile.ResultSettled, reconcile.ResultRefused} {
		if n := t.counts[f]; n > 0 {
			fmt.Fprintf(t.w, "%s: %d\n", t.word(f), n)
			_ = printMoney(t.w, "  money", *t.money[f]) // an error of the terminal or pipe is returned by the line above
		}
	}
}

func (t *releaseTally) asError() error {
	if n := t.counts[reconcile.ResultRefused]; n > 0 {
		return foundError("refused: %s, for the reasons above", counted(n, "trade"))
	}
	return nil
}

// releasePublisher returns the function that publishes the job of a released trade
// in the form that the workers decode.
func releasePublisher(js jetstream.JetStream, m capture.Mapping, to target, by string) func(context.Context, capture.Job, string) error {
	return func(ctx context.Context, job capture.Job, id string) error {
		header, body, err := m.Encode(job, id)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, tryTimeout)
		defer cancel()
		msg := nats.NewMsg(to.subject)
		msg.Data = body
		for name, values := range header {
			msg.Header[name] = values
		}
		msg.Header.Set("Capture-Release", id)
		msg.Header.Set(deadletter.HeaderPublishedBy, by)
		_, err = js.PublishMsg(ctx, msg, jetstream.WithMsgID("capture-release-"+id), jetstream.WithExpectStream(to.stream))
		if err != nil {
			return fmt.Errorf("stream %s did not confirm the job: %w", to.subject, err)
		}
		return nil
	}
}

// newPace returns a limit of events per second; 0 is no limit.
func newPace(perSecond float64) *rate.Limiter {
	if perSecond <= 0 {
		return rate.NewLimiter(rate.Inf, 1)
	}
	return rate.NewLimiter(rate.Limit(perSecond), 1)
}
