package reconcile

import (
	"fmt"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// verdict returns the result of a release for an answer. after is the state with
// the answer applied.
func (r *Releaser) verdict(found ParkedTrade, after capture.State, a capture.Answer) (Release, error) {
	done := Release{ParkedTrade: found, Result: ResultRefused, Answer: a}
	switch {
	case a.OurFault():
		return done, &HaltError{Answer: a}
	case r.settles(after.Outcome):
		done.Result = ResultSettled
		done.Why = fmt.Sprintf("Order Query shows the outcome: %s", settledText(*after.Outcome))
	case r.Retry && after.Phase == capture.PhaseParked:
		done.Why = fmt.Sprintf("the gateway's answer parks it: %s; see `capture-worker show %s`", settledText(*after.Outcome), found.TradeID)
	case !r.stays(after):
		done.Why = changedMeanwhile
	case r.Retry:
		done.Result, done.Why = r.retryable(found, after, a)
	default:
		done.Result, done.Why = releasable(found, a, r.Recorder.Clock())
		// The case may have been closed during the query.
		if done.Result == ResultReleased && (found.Dismissed || after.Dismissed) && !r.Dismissed {
			done.Result = ResultRefused
			done.Why = "still authorized, but an operator has closed its case, and may have settled it another way; check that, and release it with --dismissed if it is to be captured anyway"
		}
	}
	return done, nil
}

// settles reports whether an outcome ends the trade without a release.
func (r *Releaser) settles(o *capture.Event) bool {
	switch {
	case o == nil:
		return false
	case r.Retry:
		return o.Type == capture.Captured
	}
	return o.Type != capture.Parked
}

// stays reports whether the trade may still be released.
func (r *Releaser) stays(after capture.State) bool {
	if r.Retry {
		return after.Phase == capture.PhaseFailed || after.Withdrawn && after.Outcome == nil
	}
	return after.Phase == capture.PhaseParked
}

func settledText(e capture.Event) string {
	if e.Type == capture.Captured {
		return fmt.Sprintf("captured %s", e.Sum())
	}
	return fmt.Sprintf("%s (%s)", e.Type, e.Reason)
}

// releasable returns whether another capture call makes sense for a parked trade
// that is still parked after the query.
func releasable(t ParkedTrade, a capture.Answer, now time.Time) (ReleaseResult, string) {
	if why := noOrder(a); why != "" {
		return ResultRefused, why
	}
	switch a.Order.State.Class() {
	case capture.OrderIsPaid:
		return ResultRefused, fmt.Sprintf("the gateway has captured %s, the job asks for %s; settle it by hand, then dismiss it", a.Order.Amount, t.Amount)
	case capture.OrderIsMoving:
		return ResultRefused, moving(a)
	case capture.OrderIsOpen:
		if !t.Deadline.IsZero() && !now.Before(t.Deadline) {
			return ResultRefused, fmt.Sprintf("its authorization ended %s, so no call would follow; try again in a minute: its outcome is written when enough queries agree", t.Deadline.UTC().Format(time.RFC3339))
		}
		return ResultReleased, "still authorized"
	}
	return ResultRefused, fmt.Sprintf("the gateway reports %q; settle it by hand, then dismiss it", a.Order.State)
}

// retryable is releasable for a failed trade.
func (r *Releaser) retryable(t ParkedTrade, after capture.State, a capture.Answer) (ReleaseResult, string) {
	if why := noOrder(a); why != "" {
		return ResultRefused, why
	}
	switch a.Order.State.Class() {
	case capture.OrderIsMoving:
		return ResultRefused, moving(a)
	case capture.OrderIsOpen:
		return r.inTime(t, after)
	case capture.OrderIsPaid:
		return ResultRefused, fmt.Sprintf("the gateway reports %s %s; settle it by hand", a.Order.State, a.Order.Amount)
	}
	return ResultRefused, fmt.Sprintf("the gateway reports %s: no call can succeed", a.Order.State)
}

// inTime checks the deadline that the retried trade would have.
func (r *Releaser) inTime(t ParkedTrade, after capture.State) (ReleaseResult, string) {
	now := r.Recorder.Clock()
	if r.Before.IsZero() {
		if !t.Deadline.IsZero() && !now.Before(t.Deadline) {
			return ResultRefused, fmt.Sprintf("still authorized, but its deadline was %s; set a new one with --before", t.Deadline.UTC().Format(time.RFC3339))
		}
		return ResultRetried, "still authorized"
	}
	after.Job.CaptureBefore = r.Before
	if end := r.Recorder.deadline(&after); !end.IsZero() && !now.Before(end) {
		return ResultRefused, fmt.Sprintf("still authorized, but its authorization ended %s, which --before cannot extend; if the gateway gives more time, set gateway.window", end.UTC().Format(time.RFC3339))
	}
	return ResultRetried, "still authorized"
}

// noOrder returns why an answer to Order Query has no order, "" if it has one.
func noOrder(a capture.Answer) string {
	switch {
	case a.NoSuchTrade():
		return "the gateway knows no such trade (-4024)"
	case a.Kind != capture.AnswerDone || a.Order == nil:
		return "no useful answer from Order Query (" + whyOf(a) + "), so the trade may be paid; try again later"
	}
	return ""
}

func moving(a capture.Answer) string {
	return fmt.Sprintf("the gateway reports %s, so a capture is in progress; try again when it has ended", a.Order.State)
}
