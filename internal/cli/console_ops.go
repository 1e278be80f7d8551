package cli

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/acts"
	"github.com/capture-worker/capture-worker/internal/console"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/jobfile"
	"github.com/capture-worker/capture-worker/reconcile"
)

// releasedSubject is where the jobs of released trades are published.
const releasedSubject = "capture.jobs.released"

// consoleOps acts for the console, with the code of the commands.
type consoleOps struct {
	ledgerDeps
	dlq *dlqCmd
}

// Kinds implements console.Operations.
func (o *consoleOps) Kinds() []string {
	return []string{console.KindRelease, console.KindRetry, console.KindDismiss, console.KindWithdraw}
}

// Look implements console.Operations.
func (o *consoleOps) Look(ctx context.Context, id string) (console.Preview, error) {
	if o.query == nil {
		return console.Preview{}, console.ErrNoGateway
	}
	trade, err := o.recorder.Reopen(ctx, id)
	if err != nil {
		return console.Preview{}, err
	}
	found, err := (&reconcile.Resolver{Recorder: o.recorder, Query: o.query}).Look(ctx, id)
	if err != nil {
		return console.Preview{}, err
	}
	would := "it would change nothing"
	if e := found.Event; e != nil && e.Type.Outcome() {
		would = "it would record " + string(e.Type)
		if e.Reason != "" {
			would += " (" + e.Reason + ")"
		}
	} else if e != nil {
		would = "it settles nothing yet"
	}
	return console.Preview{Seq: trade.Seq, Answer: &found.Answer, Would: would + "; nothing was written"}, nil
}

// releaser returns what releases or retries trades as the act says.
func (o *consoleOps) releaser(ctx context.Context, a console.Act) (*reconcile.Releaser, error) {
	if o.query == nil {
		return nil, console.ErrNoGateway
	}
	if err := checkSubject(releasedSubject, o.c.Jobs); err != nil {
		return nil, err
	}
	to, err := findTarget(ctx, o.js, o.c, releasedSubject)
	if err != nil {
		return nil, err
	}
	return &reconcile.Releaser{
		Recorder: o.recorder, Query: o.query, By: a.By, Note: a.Note, Publish: releasePublisher(o.js, o.dlq.mapping, to, a.By), ApprovedBy: a.ApprovedBy,
		Retry: a.Kind == console.KindRetry, Before: a.Before,
	}, nil
}

// Preview implements console.Operations.
func (o *consoleOps) Preview(ctx context.Context, a console.Act) (console.Preview, error) {
	trade, err := o.recorder.Reopen(ctx, a.Trade)
	if err != nil {
		return console.Preview{}, err
	}
	p := console.Preview{Seq: trade.Seq, Sum: trade.State.Job.Amount}
	if p.Approval, err = o.unapproved(a, p.Sum); err != nil {
		return p, err
	}
	switch a.Kind {
	case console.KindDismiss:
		return o.previewDismissal(ctx, a, trade, p)
	case console.KindWithdraw:
		p.Would = "no further capture call would be made; the authorization at the gateway stays until it expires or is cancelled there"
		return o.withAnswer(ctx, a, p)
	}
	releaser, err := o.releaser(ctx, a)
	if err != nil {
		return p, err
	}
	found, err := releaser.Preview(ctx, a.Trade)
	if err != nil {
		return p, err
	}
	if found.Answer.Kind != "" {
		p.Answer = &found.Answer
	}
	p.Eligible = found.Result != reconcile.ResultRefused
	switch found.Result {
	case reconcile.ResultRefused:
		p.Would = "it would be refused: " + found.Why
	case reconcile.ResultSettled:
		p.Would = "it would be settled as the gateway shows it: " + found.Why
	case reconcile.ResultRepublished:
		p.Would = "its job would be published again: " + found.Why
	default:
		p.Would = "it would go back to the workers: " + found.Why
	}
	return p, nil
}

// unapproved returns why an approver has to confirm an act, "" if none has to.
func (o *consoleOps) unapproved(a console.Act, sum capture.Amount) (string, error) {
	if a.Kind == console.KindDismiss || a.Kind == console.KindWithdraw || a.ApprovedBy != "" || sum.IsZero() {
		return "", nil
	}
	var sums jobfile.Sums
	sums.Add(sum, 1)
	above, err := sumsAbove("approval.above", o.c.Approval.Above, &sums)
	if err != nil || len(above) == 0 {
		return "", err
	}
	return strings.Join(above, ", ") + " (approval.above) needs an approver, other than the operator that asks", nil
}

// previewDismissal previews the end of a case.
func (o *consoleOps) previewDismissal(ctx context.Context, a console.Act, trade *reconcile.Trade, p console.Preview) (console.Preview, error) {
	if trade.State.Phase != capture.PhaseParked {
		p.Would = (&reconcile.NotParkedError{TradeID: a.Trade, Phase: trade.State.Phase, Known: trade.State.Events > 0}).Error()
		return p, nil
	}
	p.Would = "the case would be closed; the trade stays parked, and is still corrected if the gateway reports an outcome"
	return o.withAnswer(ctx, a, p)
}

// withAnswer completes the preview of an act that needs no answer of the gateway
// with one, so that no one acts unseen on money that the gateway shows as taken.
func (o *consoleOps) withAnswer(ctx context.Context, a console.Act, p console.Preview) (console.Preview, error) {
	p.Eligible = true
	if o.query == nil {
		return p, nil
	}
	found, err := (&reconcile.Resolver{Recorder: o.recorder, Query: o.query}).Look(ctx, a.Trade)
	if err != nil {
		return p, err
	}
	p.Answer = &found.Answer
	return p, nil
}

// Do implements console.Operations.
func (o *consoleOps) Do(ctx context.Context, a console.Act, seq uint64) (console.Done, error) {
	trade, err := o.recorder.Reopen(ctx, a.Trade)
	if err != nil {
		return console.Done{}, err
	}
	// A withdrawal is right whatever the workers have learned meanwhile: it answers by
	// what is true then, and an open trade that is queried again and again could hardly
	// be withdrawn otherwise.
	if trade.Seq != seq && a.Kind != console.KindWithdraw {
		return console.Done{}, console.ErrChanged
	}
	switch a.Kind {
	case console.KindDismiss:
		if err := o.recorder.Dismiss(ctx, a.Trade, a.By, a.Note); err != nil {
			return console.Done{}, err
		}
		return console.Done{OK: true, Text: "the case is closed"}, nil
	case console.KindWithdraw:
		done, err := o.recorder.Withdraw(ctx, reconcile.WithdrawalRequest{TradeID: a.Trade, By: a.By, Note: a.Note})
		if err != nil {
			return console.Done{}, err
		}
		w := withdrawing{o: &o.ledgerDeps}
		return console.Done{OK: done.Result == reconcile.WithdrawalInTime, Text: w.explain(a.Trade, done)}, nil
	}
	if missing, err := o.unapproved(a, trade.State.Job.Amount); err != nil || missing != "" {
		return console.Done{}, cmp.Or(err, console.ErrApproval)
	}
	releaser, err := o.releaser(ctx, a)
	if err != nil {
		return console.Done{}, err
	}
	done, err := releaser.Release(ctx, a.Trade)
	if err != nil {
		return console.Done{}, err
	}
	return console.Done{OK: done.Result != reconcile.ResultRefused, Text: fmt.Sprintf("%s: %s", done.Result, done.Why)}, nil
}

// Republish implements console.Operations.
func (o *consoleOps) Republish(ctx context.Context, a console.LetterAct) (console.Done, error) {
	var out bytes.Buffer
	r := &republishing{
		reason: a.Note, by: a.By, replaceTrade: a.ReplaceTrade, dlq: o.dlq, out: &out,
		chosen: selecting{named: []uint64{a.Letter}}, targets: map[string]target{},
	}
	if a.Body != nil {
		r.jobs = []fixedJob{{body: a.Body}}
	}
	if err := r.run(ctx); err != nil {
		return console.Done{}, err
	}
	return console.Done{OK: true, Text: strings.TrimSpace(out.String())}, nil
}

// DismissLetter implements console.Operations.
func (o *consoleOps) DismissLetter(ctx context.Context, a console.LetterAct) (console.Done, error) {
	var out bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetOut(&out)
	if err := o.dlq.dismiss(ctx, cmd, &selecting{named: []uint64{a.Letter}}, deadletter.Dismissal{By: a.By, Note: a.Note}); err != nil {
		return console.Done{}, err
	}
	return console.Done{OK: true, Text: strings.TrimSpace(out.String())}, nil
}

// Lanes implements console.Operations.
func (o *consoleOps) Lanes(ctx context.Context) ([]console.Lane, error) {
	var lanes []console.Lane
	for _, lane := range o.c.LaneList() {
		row, err := lookAtLane(ctx, o.js, o.c, lane)
		if err != nil {
			return nil, err
		}
		lanes = append(lanes, console.Lane{Name: row.Lane, About: aboutLane(lane), Ready: row.Ready, Delivered: row.Delivered, Paused: row.PausedUntil})
	}
	return lanes, nil
}

// PauseLane implements console.Operations.
func (o *consoleOps) PauseLane(ctx context.Context, name string, until time.Time, by, note string) error {
	act, change := acts.Act{Act: acts.Pause, By: by, Reason: note, Detail: "until " + until.UTC().Format(time.RFC3339)}, pauseUntil(until)
	if until.IsZero() {
		act.Act, act.Detail, change = acts.Resume, "", resumeNow
	}
	_, err := applyToLane(ctx, o.js, o.c, name, act, change)
	return err
}

// hasGateway reports whether the configuration names a gateway.
func hasGateway(c config.Config) bool {
	return c.Gateway.URL != "" && c.Gateway.User != "" && c.Gateway.SecretKey != ""
}
