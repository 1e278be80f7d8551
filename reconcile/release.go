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

// ReleaseResult is the result of sending one trade back to work.
type ReleaseResult string

// The results.
const (
	// ResultReleased means that the release is in the ledger and the job is
	// published, or, in a preview, would be.
	ResultReleased ReleaseResult = "released"
	// ResultRetried is ResultReleased for a failed trade.
	ResultRetried ReleaseResult = "retried"
	// ResultRepublished means that the trade was sent back before and no call
	// followed; the job was published again.
	ResultRepublished ReleaseResult = "published again"
	// ResultSettled means that Order Query showed the outcome, which is in the
	// ledger now.
	ResultSettled ReleaseResult = "settled"
	// ResultRefused means that the trade is unchanged; Release.Why has the reason.
	ResultRefused ReleaseResult = "refused"
)

// SentBack reports whether the trade is, or would be, open again.
func (f ReleaseResult) SentBack() bool { return f == ResultReleased || f == ResultRetried }

// Release is the result for one trade.
type Release struct {
	ParkedTrade
	Result ReleaseResult
	Why    string
	Answer capture.Answer // of Order Query
	ID     string         // identifies the release; the same if it is published again
}

// Releaser sends parked trades back to the workers (released) or, with Retry,
// failed and withdrawn ones (retried). Recorder and Query must be set, and for
// Release also Publish, By and Note.
type Releaser struct {
	Recorder *Recorder
	Query    Query
	// Publish publishes the job again. id identifies the release, so that duplicates
	// can be detected.
	Publish func(ctx context.Context, job capture.Job, id string) error
	By      string // the operator, for the ledger
	Note    string // the reason, for the ledger
	// ApprovedBy is the second operator of an act that needs one, for the ledger.
	ApprovedBy string
	// Dismissed allows the release of dismissed trades. They are refused otherwise: a
	// trade settled by other means must not be captured too.
	Dismissed bool
	// Retry sends failed and withdrawn trades back instead of parked ones.
	Retry bool
	// Before, if set, is the new deadline of a retried trade. It replaces the job's
	// capture_before, and cannot extend the authorization.
	Before time.Time
}

// Preview returns what Release would do. It asks Order Query and writes nothing.
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
// there is time, it appends a released or retried event with By and Note, and
// publishes the job. If the query shows an outcome, that is written instead, also
// with By and Note. In any other case the trade is refused: above all if there is
// no useful answer, and if it is dismissed and Dismissed is not set.
//
// If the job could not be published after the event was written, the error is a
// [*PublishError]; call Release again to publish it. If the gateway refuses our
// signature or user, it is a [*HaltError].
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
	// An answer proves nothing about a trade that was withdrawn before its job came.
	if trade.State.Job.TradeID != "" || !r.Retry {
		if trade, _, err = r.Recorder.apply(ctx, trade, nil, &finding, r.sign); err != nil {
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

const changedMeanwhile = "another writer changed the trade meanwhile; check it and try again"

// sign adds the operator and the reason to an outcome that the release found,
// because no released event has them then.
func (r *Releaser) sign(e *capture.Event) {
	if e.Type.Outcome() {
		e.By, e.Note = r.By, r.Note
	}
}

// event returns the event that opens the trade again.
func (r *Releaser) event(t *Trade) *capture.Event {
	e := &capture.Event{Type: r.opens(), By: r.By, Note: r.Note, ApprovedBy: r.ApprovedBy, OrderID: t.State.Job.OrderID}
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

// PublishError reports that a trade is open again in the ledger, but its job may
// not be published.
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

// Unwrap returns Err.
func (e *PublishError) Unwrap() error { return e.Err }

func (r *Releaser) publish(ctx context.Context, trade *Trade, done Release) (Release, error) {
	switch {
	case trade.State.Job.TradeID != "":
	case r.Retry:
		done.Why += "; the ledger has no job for it: it is captured when its job is published"
		return done, nil
	default:
		done.Result, done.Why = ResultRefused, "the ledger does not have its job; publish the job again"
		return done, nil
	}
	if err := r.Publish(ctx, trade.State.Job, done.ID); err != nil {
		return done, &PublishError{TradeID: trade.ID, Retry: r.Retry, Err: err}
	}
	return done, nil
}

// releaseID returns the id of a release, from the time of its event.
func releaseID(tradeID string, at time.Time) string {
	return fmt.Sprintf("%s-%d", tradeID, at.UnixNano())
}

// load reads a trade. The release has a result already if the trade cannot be sent
// back, or was sent back before and no call followed.
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

// candidate reports whether the trade can be sent back.
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

// pendingRelease returns the last event of the type opens, nil if a call was
// announced, an outcome written or the job withdrawn after it. Publishing a job
// that a worker already has is harmless.
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
