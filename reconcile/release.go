package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
)

// ReleaseResult says what became of a trade that was to be sent back to work.
type ReleaseResult string

// The fates.
const (
	// ResultReleased: the release is in the ledger and the job is published. In a
	// preview: it would be.
	ResultReleased ReleaseResult = "released"
	// ResultRetried is ResultReleased of a failed trade.
	ResultRetried ReleaseResult = "retried"
	// ResultRepublished: it was sent back before, and nothing followed; the job is
	// published again.
	ResultRepublished ReleaseResult = "published again"
	// ResultSettled: Order Query told the outcome, which is in the ledger now.
	ResultSettled ReleaseResult = "settled"
	// ResultRefused: it stays as it is, and Release.Why says why.
	ResultRefused ReleaseResult = "refused"
)

// SentBack reports whether the trade is, or would be, open again.
func (f ReleaseResult) SentBack() bool { return f == ResultReleased || f == ResultRetried }

// Release is what became of one trade.
type Release struct {
	ParkedTrade
	Result ReleaseResult
	Why    string
	Answer capture.Answer // of Order Query
	ID     string         // names the release: the same when it is resumed
}

// Releaser sends parked trades back to the workers (released) or, with Retry,
// failed and withdrawn ones (retried). Recorder and Query must be set, for Release
// Publish, By and Note too: else the error is ErrNotSet.
type Releaser struct {
	Recorder *Recorder
	Query    Query
	// Publish hands the job to the workers again. id names this release, so
	// that a repeat can be recognised.
	Publish func(ctx context.Context, job capture.Job, id string) error
	By      string // who
	Note    string // and why
	// Dismissed lets trades be released whose case an operator has closed. Without
	// it they are refused: what was settled by hand must not be captured too.
	Dismissed bool
	// Retry sends failed trades back, and withdrawn ones, instead of parked ones.
	Retry bool
	// Before, if set, is the new time by which a retried trade must be captured.
	// It can make up for a capture_before that was too early, not for the end of
	// the authorization.
	Before time.Time
}

// Preview says what Release would do. It asks Order Query and writes nothing.
func (r *Releaser) Preview(ctx context.Context, tradeID string) (Release, error) {
	if err := r.check("reconcile.Releaser"); err != nil {
		return Release{}, err
	}
	trade, done, err := r.load(ctx, tradeID)
	if err != nil || done.Result != "" {
		return done, err
	}
	finding := r.Recorder.Ask(ctx, r.Query, trade.GatewayID(tradeID))
	after := trade.State
	if e := capture.Judge(&trade.State, nil, finding, r.Recorder.Clock(), r.Recorder.Policy); e != nil {
		after.Add(e)
	}
	return r.verdict(done.ParkedTrade, after, finding.Answer)
}

// Release asks Order Query about a trade. If the trade is still authorized and
// there is time, it appends a released or retried event with who and why, and
// publishes the job. If the query tells an outcome, that is written instead, with
// the same who and why. In any other case, and above all if the query tells
// nothing, the trade is refused. So is one whose case is closed, unless Dismissed
// is set.
//
// When the job could not be published after the event was written, the error
// is a *PublishError; Release of the same trade then finishes the work. A
// gateway that refuses our signature or user is a *HaltError.
func (r *Releaser) Release(ctx context.Context, tradeID string) (Release, error) {
	if err := r.mayRelease("reconcile.Releaser"); err != nil {
		return Release{}, err
	}
	trade, done, err := r.load(ctx, tradeID)
	switch {
	case err != nil:
		return Release{}, err
	case done.Result == ResultRepublished:
		return r.publish(ctx, trade, done)
	case done.Result != "":
		return done, nil
	}
	finding := r.Recorder.Ask(ctx, r.Query, trade.GatewayID(tradeID))
	// Of a trade that was withdrawn before its job came an answer proves nothing.
	if trade.State.Job.TradeID != "" || !r.Retry {
		if trade, _, err = r.Recorder.apply(ctx, trade, nil, finding, r.sign); err != nil {
			return Release{}, err
		}
	}
	done, err = r.verdict(done.ParkedTrade, trade.State, finding.Answer)
	if err != nil || !done.Result.SentBack() {
		return done, err
	}
	opening := r.event(trade)
	trade, err = r.Recorder.Record(ctx, trade, opening)
	if errors.Is(err, ledger.ErrConflict) {
		done.Result, done.Why = ResultRefused, changedMeanwhile
		return done, nil
	}
	if err != nil {
		return Release{}, err
	}
	done.ID = releaseID(trade.ID, opening.Time)
	return r.publish(ctx, trade, done)
}

const changedMeanwhile = "someone else has written to it meanwhile; look at it again"

// sign puts who and why into an outcome that the release brought to light:
// no released event says it then.
func (r *Releaser) sign(e *capture.Event) {
	if e.Type.Outcome() {
		e.By, e.Note = r.By, r.Note
	}
}

// event is what opens the trade again.
func (r *Releaser) event(t *Trade) *capture.Event {
	e := &capture.Event{Type: r.opens(), By: r.By, Note: r.Note, OrderID: t.State.Job.OrderID}
	if r.Retry && !r.Before.IsZero() && t.State.Job.TradeID != "" {
		job := t.State.Job
		job.CaptureBefore = r.Before
		e.Job = &job
	}
	return e
}

func (r *Releaser) opens() capture.EventType {
	if r.Retry {
		return capture.Retried
	}
	return capture.Released
}

// PublishError says that a trade is open again in the ledger, and that its job
// is not known to be published.
type PublishError struct {
	TradeID string
	Retry   bool // retried, not released
	Err     error
}

func (e *PublishError) Error() string {
	what, again := "released", "release"
	if e.Retry {
		what, again = "retried", "retry"
	}
	return fmt.Sprintf("trade %s is %s in the ledger, but its job is not published: %v; %s it again, which only publishes the job", e.TradeID, what, e.Err, again)
}

// Unwrap returns why.
func (e *PublishError) Unwrap() error { return e.Err }

func (r *Releaser) publish(ctx context.Context, trade *Trade, done Release) (Release, error) {
	switch {
	case trade.State.Job.TradeID != "":
	case r.Retry:
		done.Why += "; the ledger holds no job of it: it is captured when its job is published"
		return done, nil
	default:
		done.Result, done.Why = ResultRefused, "the ledger does not hold its job; publish the job anew"
		return done, nil
	}
	if err := r.Publish(ctx, trade.State.Job, done.ID); err != nil {
		return done, &PublishError{TradeID: trade.ID, Retry: r.Retry, Err: err}
	}
	return done, nil
}

// releaseID names a release by the time of its event.
func releaseID(tradeID string, at time.Time) string {
	return fmt.Sprintf("%s-%d", tradeID, at.UnixNano())
}

// load reads a trade. The release has a fate already if the trade is no case for
// this, or if it was sent back before and nothing followed.
func (r *Releaser) load(ctx context.Context, tradeID string) (*Trade, Release, error) {
	key := capture.TradeKey(tradeID)
	loaded, err := r.Recorder.Ledger.LoadLatest(ctx, key)
	if err != nil {
		return nil, Release{}, fmt.Errorf("reading the ledger of trade %s: %w", tradeID, err)
	}
	trade := &Trade{ID: key, State: loaded.State(), Seq: loaded.Seq}
	if e := pendingRelease(loaded.Events, r.opens()); e != nil {
		why := fmt.Sprintf("it was %s before, and no call followed", r.opens())
		return trade, Release{ParkedTrade: r.Recorder.describe(trade), Result: ResultRepublished, Why: why, ID: releaseID(key, e.Time)}, nil
	}
	found, ok := r.candidate(trade)
	if !ok {
		return trade, Release{ParkedTrade: r.Recorder.describe(trade), Result: ResultRefused, Why: r.refusal(trade)}, nil
	}
	return trade, Release{ParkedTrade: found}, nil
}

// candidate reports whether the trade is one that is sent back.
func (r *Releaser) candidate(t *Trade) (ParkedTrade, bool) {
	if !r.Retry {
		return r.Recorder.ended(t, capture.PhaseParked)
	}
	if s := t.State; s.Withdrawn && s.Outcome == nil {
		found := r.Recorder.describe(t)
		found.Reason, found.Since = capture.ReasonWithdrawn, s.OpenedAt
		return found, true
	}
	return r.Recorder.ended(t, capture.PhaseFailed)
}

func (r *Releaser) refusal(t *Trade) string {
	known := t.State.Events > 0
	if r.Retry {
		return (&NotFailedError{TradeID: t.ID, Phase: t.State.Phase, Known: known}).Error()
	}
	return (&NotParkedError{TradeID: t.ID, Phase: t.State.Phase, Known: known}).Error()
}

// pendingRelease is the last event of the type that sends back, unless a call
// was announced, an outcome written or the job withdrawn after it. A job that a
// worker holds by now does no harm by coming once more.
func pendingRelease(events []capture.Event, opens capture.EventType) *capture.Event {
	for _, e := range slices.Backward(events) {
		switch {
		case e.Type == opens:
			return &e
		case e.Type == capture.Attempted || e.Type == capture.Withdrawn || e.Type.Outcome():
			return nil
		}
	}
	return nil
}

func (r *Recorder) describe(t *Trade) ParkedTrade {
	job := t.State.Job
	return ParkedTrade{TradeID: t.ID, OrderID: job.OrderID, Amount: job.Amount, Deadline: r.deadline(&t.State)}
}

func (r *Releaser) check(name string) error {
	switch {
	case r == nil:
		return notSet(name)
	case r.Query == nil:
		return notSet(name + ".Query")
	}
	return r.Recorder.check(name + ".Recorder")
}

// mayRelease is check for the methods that write: a release must record who made
// it and why.
func (r *Releaser) mayRelease(name string) error {
	if err := r.check(name); err != nil {
		return err
	}
	switch {
	case r.Publish == nil:
		return notSet(name + ".Publish")
	case r.By == "":
		return notSet(name + ".By")
	case r.Note == "":
		return notSet(name + ".Note")
	}
	return nil
}
