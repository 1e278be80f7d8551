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

// Fate says what became of a trade that was to be sent back to work.
type Fate string

// The fates.
const (
	// WasReleased: the release is in the ledger and the job is published. In a
	// preview: it would be.
	WasReleased Fate = "released"
	// WasRetried is WasReleased of a failed trade.
	WasRetried Fate = "retried"
	// WasResumed: it was sent back before, and nothing followed; the job is
	// published again.
	WasResumed Fate = "published again"
	// WasSettled: Order Query told the outcome, which is in the ledger now.
	WasSettled Fate = "settled"
	// WasRefused: it stays as it is, and Release.Why says why.
	WasRefused Fate = "refused"
)

// SentBack reports whether the trade is, or would be, open again.
func (f Fate) SentBack() bool { return f == WasReleased || f == WasRetried }

// Release is what became of one trade.
type Release struct {
	ParkedTrade
	Fate   Fate
	Why    string
	Answer capture.Answer // of Order Query
	ID     string         // names the release: the same when it is resumed
}

// Releaser sends parked trades back to the workers (released) or, with Retry,
// failed and withdrawn ones (retried). Clerk and Query must be set, for Release
// Publish, By and Note too: else the error is ErrNotSet.
type Releaser struct {
	Clerk *Clerk
	Query Query
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
	if err := r.check(); err != nil {
		return Release{}, err
	}
	trade, done, err := r.load(ctx, tradeID)
	if err != nil || done.Fate != "" {
		return done, err
	}
	finding := r.Clerk.Ask(ctx, r.Query, trade.GatewayID(tradeID))
	after := trade.State
	if e := capture.Judge(&trade.State, nil, finding, r.Clerk.Clock(), r.Clerk.Policy); e != nil {
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
	if err := r.mayRelease(); err != nil {
		return Release{}, err
	}
	trade, done, err := r.load(ctx, tradeID)
	switch {
	case err != nil:
		return Release{}, err
	case done.Fate == WasResumed:
		return r.publish(ctx, trade, done)
	case done.Fate != "":
		return done, nil
	}
	finding := r.Clerk.Ask(ctx, r.Query, trade.GatewayID(tradeID))
	// Of a trade that was withdrawn before its job came an answer proves nothing.
	if trade.State.Job.TradeID != "" || !r.Retry {
		if trade, _, err = r.Clerk.learn(ctx, trade, nil, finding, r.sign); err != nil {
			return Release{}, err
		}
	}
	done, err = r.verdict(done.ParkedTrade, trade.State, finding.Answer)
	if err != nil || !done.Fate.SentBack() {
		return done, err
	}
	opening := r.event(trade)
	trade, err = r.Clerk.Record(ctx, trade, opening)
	if errors.Is(err, ledger.ErrConflict) {
		done.Fate, done.Why = WasRefused, changedMeanwhile
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
		done.Fate, done.Why = WasRefused, "the ledger does not hold its job; publish the job anew"
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
	loaded, err := r.Clerk.Ledger.LoadLatest(ctx, key)
	if err != nil {
		return nil, Release{}, fmt.Errorf("reading the ledger of trade %s: %w", tradeID, err)
	}
	trade := &Trade{ID: key, State: loaded.State(), Seq: loaded.Seq}
	if e := pendingRelease(loaded.Events, r.opens()); e != nil {
		why := fmt.Sprintf("it was %s before, and no call followed", r.opens())
		return trade, Release{ParkedTrade: r.Clerk.describe(trade), Fate: WasResumed, Why: why, ID: releaseID(key, e.Time)}, nil
	}
	found, ok := r.candidate(trade)
	if !ok {
		return trade, Release{ParkedTrade: r.Clerk.describe(trade), Fate: WasRefused, Why: r.refusal(trade)}, nil
	}
	return trade, Release{ParkedTrade: found}, nil
}

// candidate reports whether the trade is one that is sent back.
func (r *Releaser) candidate(t *Trade) (ParkedTrade, bool) {
	if !r.Retry {
		return r.Clerk.ended(t, capture.PhaseParked)
	}
	if s := t.State; s.Withdrawn && s.Outcome == nil {
		found := r.Clerk.describe(t)
		found.Reason, found.Since = capture.ReasonWithdrawn, s.OpenedAt
		return found, true
	}
	return r.Clerk.ended(t, capture.PhaseFailed)
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

func (c *Clerk) describe(t *Trade) ParkedTrade {
	job := t.State.Job
	return ParkedTrade{TradeID: t.ID, OrderID: job.OrderID, Amount: job.Amount, Deadline: c.deadline(&t.State)}
}
