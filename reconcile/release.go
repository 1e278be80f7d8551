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

// Fate says what became of a parked trade that was to be released.
type Fate string

// The fates.
const (
	// WasReleased: the release is in the ledger and the job is published. In a
	// preview: it would be.
	WasReleased Fate = "released"
	// WasResumed: it was released before, and nothing followed; the job is
	// published again.
	WasResumed Fate = "published again"
	// WasSettled: Order Query told the outcome, which is in the ledger now.
	WasSettled Fate = "settled"
	// WasRefused: it stays as it is, and Release.Why says why.
	WasRefused Fate = "refused"
)

// Release is what became of one trade.
type Release struct {
	ParkedTrade
	Fate   Fate
	Why    string
	Answer capture.Answer // of Order Query
	ID     string         // names the release: the same when it is resumed
}

// Releaser sends parked trades back to the workers. All fields must be set but
// Publish, By and Note for a Preview: else the error is ErrNotSet.
type Releaser struct {
	Clerk *Clerk
	Query Query
	// Publish hands the job to the workers again. id names this release, so
	// that a repeat can be recognised.
	Publish func(ctx context.Context, job capture.Job, id string) error
	By      string // who
	Note    string // and why
	// Dismissed lets trades be released whose case a person has closed. Without
	// it they are refused: what was settled by hand must not be captured too.
	Dismissed bool
}

// Preview says what Release would do. It asks Order Query and writes nothing.
func (r *Releaser) Preview(ctx context.Context, tradeID string) (Release, error) {
	if err := r.check(); err != nil {
		return Release{}, err
	}
	trade, pending, err := r.load(ctx, tradeID)
	if err != nil {
		return Release{}, err
	}
	found, parked := trade.parked()
	switch {
	case pending != nil:
		return Release{ParkedTrade: describe(trade), Fate: WasResumed, Why: "it was released before, and no call followed", ID: releaseID(tradeID, pending.Time)}, nil
	case !parked:
		return refuseNotParked(trade), nil
	}
	finding := r.Clerk.Ask(ctx, r.Query, tradeID)
	answer := finding.Answer
	after := trade.State
	if e := capture.Judge(&trade.State, nil, finding, r.Clerk.Clock(), r.Clerk.Policy); e != nil {
		after.Add(e)
	}
	return r.verdict(found, after, answer)
}

// Release asks Order Query about a parked trade. Where the trade is still
// authorized and there is time, it appends a released event with who and why,
// and publishes the job. Where the query tells an outcome, that is written
// instead. In any other case, and above all where the query tells nothing, the
// release is refused. So is one of a trade whose case is closed, unless Dismissed
// is set.
//
// When the job could not be published after the event was written, the error
// is a *PublishError; Release of the same trade then finishes the work. A
// gateway that refuses our signature or user is a *HaltError.
func (r *Releaser) Release(ctx context.Context, tradeID string) (Release, error) {
	if err := r.mayRelease(); err != nil {
		return Release{}, err
	}
	trade, pending, err := r.load(ctx, tradeID)
	if err != nil {
		return Release{}, err
	}
	found, parked := trade.parked()
	switch {
	case pending != nil:
		done := Release{ParkedTrade: describe(trade), Fate: WasResumed, Why: "it was released before, and no call followed", ID: releaseID(tradeID, pending.Time)}
		return r.publish(ctx, trade, done)
	case !parked:
		return refuseNotParked(trade), nil
	}
	finding := r.Clerk.Ask(ctx, r.Query, tradeID)
	answer := finding.Answer
	trade, _, err = r.Clerk.Learn(ctx, trade, nil, finding)
	if err != nil {
		return Release{}, err
	}
	done, err := r.verdict(found, trade.State, answer)
	if err != nil || done.Fate != WasReleased {
		return done, err
	}
	released := &capture.Event{Type: capture.Released, By: r.By, Note: r.Note, OrderID: found.OrderID}
	trade, err = r.Clerk.Record(ctx, trade, released)
	if errors.Is(err, ledger.ErrConflict) {
		done.Fate, done.Why = WasRefused, "someone else has written to it meanwhile; look at it again"
		return done, nil
	}
	if err != nil {
		return Release{}, err
	}
	done.ID = releaseID(tradeID, trade.State.OpenedAt)
	return r.publish(ctx, trade, done)
}

// PublishError says that a trade is released in the ledger, and that its job
// is not known to be published.
type PublishError struct {
	TradeID string
	Err     error
}

func (e *PublishError) Error() string {
	return fmt.Sprintf("trade %s is released in the ledger, but its job is not published: %v; release it again, which only publishes the job", e.TradeID, e.Err)
}

// Unwrap returns why.
func (e *PublishError) Unwrap() error { return e.Err }

func (r *Releaser) publish(ctx context.Context, trade *Trade, done Release) (Release, error) {
	if trade.State.Job.TradeID == "" {
		done.Fate, done.Why = WasRefused, "the ledger does not hold its job; publish the job anew"
		return done, nil
	}
	if err := r.Publish(ctx, trade.State.Job, done.ID); err != nil {
		return done, &PublishError{TradeID: trade.ID, Err: err}
	}
	return done, nil
}

// releaseID names a release by the time of its event.
func releaseID(tradeID string, at time.Time) string {
	return fmt.Sprintf("%s-%d", tradeID, at.UnixNano())
}

// load reads a trade, and the release that nothing followed, if there is one.
func (r *Releaser) load(ctx context.Context, tradeID string) (*Trade, *capture.Event, error) {
	loaded, err := r.Clerk.Ledger.LoadLatest(ctx, tradeID)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the ledger of trade %s: %w", tradeID, err)
	}
	return &Trade{ID: tradeID, State: loaded.State(), Seq: loaded.Seq}, pendingRelease(loaded.Events), nil
}

// pendingRelease is the last release, unless a call was announced or an
// outcome written after it. A job that a worker holds by now does no harm by
// coming once more.
func pendingRelease(events []capture.Event) *capture.Event {
	for _, e := range slices.Backward(events) {
		switch {
		case e.Type == capture.Released:
			return &e
		case e.Type == capture.Attempted || e.Type.Outcome():
			return nil
		}
	}
	return nil
}

func describe(t *Trade) ParkedTrade {
	job := t.State.Job
	return ParkedTrade{TradeID: t.ID, OrderID: job.OrderID, Amount: job.Amount, Deadline: job.Deadline(capture.AuthorizationWindow)}
}

func refuseNotParked(t *Trade) Release {
	err := &NotParkedError{TradeID: t.ID, Phase: t.State.Phase, Known: t.State.Events > 0}
	return Release{ParkedTrade: describe(t), Fate: WasRefused, Why: err.Error()}
}

// verdict says what an answer means for a release. after is the trade with the
// answer taken into account.
func (r *Releaser) verdict(found ParkedTrade, after capture.State, a capture.Answer) (Release, error) {
	done := Release{ParkedTrade: found, Fate: WasRefused, Answer: a}
	switch {
	case a.OurFault():
		return done, &HaltError{Answer: a}
	case after.Outcome != nil && after.Outcome.Type != capture.Parked:
		done.Fate = WasSettled
		done.Why = fmt.Sprintf("Order Query tells the outcome: %s", settledText(*after.Outcome))
	case after.Phase != capture.PhaseParked:
		done.Why = "someone else has written to it meanwhile; look at it again"
	default:
		done.Fate, done.Why = releasable(found, a, r.Clerk.Clock())
		// Or closed while the gateway was asked.
		if done.Fate == WasReleased && (found.Dismissed || after.Dismissed) && !r.Dismissed {
			done.Fate = WasRefused
			done.Why = "still authorized, but a person has closed its case, and may have settled it another way; look at it, and release it as a dismissed one (--dismissed) if it is to be captured for all that"
		}
	}
	return done, nil
}

func settledText(e capture.Event) string {
	if e.Type == capture.Captured {
		return fmt.Sprintf("captured %s", e.Sum())
	}
	return fmt.Sprintf("%s (%s)", e.Type, e.Reason)
}

// releasable holds a parked trade that stays parked after the query against
// what a release is for: another capture call.
func releasable(t ParkedTrade, a capture.Answer, now time.Time) (Fate, string) {
	switch {
	case a.NoSuchTrade():
		return WasRefused, "the gateway knows no such trade (-4024)"
	case a.Kind != capture.AnswerDone || a.Order == nil:
		return WasRefused, "Order Query told nothing (" + whyOf(a) + "), so it may be paid; try again later"
	}
	switch a.Order.State.Class() {
	case capture.OrderIsPaid:
		return WasRefused, fmt.Sprintf("the gateway has captured %s, the job asks for %s; settle it by hand, then dismiss it", a.Order.Amount, t.Amount)
	case capture.OrderIsMoving:
		return WasRefused, fmt.Sprintf("the gateway says %s, so a capture is under way; wait for its end", a.Order.State)
	case capture.OrderIsOpen:
		if !t.Deadline.IsZero() && !now.Before(t.Deadline) {
			return WasRefused, fmt.Sprintf("its authorization ended %s, so no call would follow; ask again in a minute: when enough queries agree, its end is written", t.Deadline.UTC().Format(time.RFC3339))
		}
		return WasReleased, "still authorized"
	}
	return WasRefused, fmt.Sprintf("the gateway says %q; settle it by hand, then dismiss it", a.Order.State)
}
