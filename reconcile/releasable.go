package reconcile

import (
	"fmt"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// verdict says what an answer means for a release. after is the trade with the
// answer taken into account.
func (r *Releaser) verdict(found ParkedTrade, after capture.State, a capture.Answer) (Release, error) {
	done := Release{ParkedTrade: found, Result: ResultRefused, Answer: a}
	switch {
	case a.OurFault():
		return done, &HaltError{Answer: a}
	case r.settles(after.Outcome):
		done.Result = ResultSettled
		done.Why = fmt.Sprintf("Order Query tells the outcome: %s", settledText(*after.Outcome))
	case r.Retry && after.Phase == capture.PhaseParked:
		done.Why = fmt.Sprintf("the gateway's answer parks it: %s; see `capture-worker show %s`", settledText(*after.Outcome), found.TradeID)
	case !r.stays(after):
		done.Why = changedMeanwhile
	case r.Retry:
		done.Result, done.Why = r.retryable(found, after, a)
	default:
		done.Result, done.Why = releasable(found, a, r.Recorder.Clock())
		// Or closed while the gateway was asked.
		if done.Result == ResultReleased && (found.Dismissed || after.Dismissed) && !r.Dismissed {
			done.Result = ResultRefused
			done.Why = "still authorized, but an operator has closed its case, and may have settled it another way; look at it, and release it as a dismissed one (--dismissed) if it is to be captured for all that"
		}
	}
	return done, nil
}

// settles reports whether an outcome is the end that the query brought.
func (r *Releaser) settles(o *capture.Event) bool {
	switch {
	case o == nil:
		return false
	case r.Retry:
		return o.Type == capture.Captured
	}
	return o.Type != capture.Parked
}

// stays reports whether the trade is still a case for a release.
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

// releasable holds a parked trade that stays parked after the query against
// what a release is for: another capture call.
func releasable(t ParkedTrade, a capture.Answer, now time.Time) (ReleaseResult, string) {
	if why := untold(a); why != "" {
		return ResultRefused, why
	}
	switch a.Order.State.Class() {
	case capture.OrderIsPaid:
		return ResultRefused, fmt.Sprintf("the gateway has captured %s, the job asks for %s; settle it by hand, then dismiss it", a.Order.Amount, t.Amount)
	case capture.OrderIsMoving:
		return ResultRefused, moving(a)
	case capture.OrderIsOpen:
		if !t.Deadline.IsZero() && !now.Before(t.Deadline) {
			return ResultRefused, fmt.Sprintf("its authorization ended %s, so no call would follow; ask again in a minute: when enough queries agree, its end is written", t.Deadline.UTC().Format(time.RFC3339))
		}
		return ResultReleased, "still authorized"
	}
	return ResultRefused, fmt.Sprintf("the gateway says %q; settle it by hand, then dismiss it", a.Order.State)
}

// retryable holds a failed trade that stays failed after the query against the
// same.
func (r *Releaser) retryable(t ParkedTrade, after capture.State, a capture.Answer) (ReleaseResult, string) {
	if why := untold(a); why != "" {
		return ResultRefused, why
	}
	switch a.Order.State.Class() {
	case capture.OrderIsMoving:
		return ResultRefused, moving(a)
	case capture.OrderIsOpen:
		return r.inTime(t, after)
	case capture.OrderIsPaid:
		return ResultRefused, fmt.Sprintf("the gateway says %s %s; settle it by hand", a.Order.State, a.Order.Amount)
	}
	return ResultRefused, fmt.Sprintf("the gateway says %s: no call can succeed", a.Order.State)
}

// inTime holds the deadline that the trade would have against the clock.
func (r *Releaser) inTime(t ParkedTrade, after capture.State) (ReleaseResult, string) {
	now := r.Recorder.Clock()
	if r.Before.IsZero() {
		if !t.Deadline.IsZero() && !now.Before(t.Deadline) {
			return ResultRefused, fmt.Sprintf("still authorized, but its time was over %s; give it a new one with --before", t.Deadline.UTC().Format(time.RFC3339))
		}
		return ResultRetried, "still authorized"
	}
	after.Job.CaptureBefore = r.Before
	if end := r.Recorder.deadline(&after); !end.IsZero() && !now.Before(end) {
		return ResultRefused, fmt.Sprintf("still authorized, but its authorization ended %s, and --before cannot lengthen that; if the gateway gives more time, set gateway.window", end.UTC().Format(time.RFC3339))
	}
	return ResultRetried, "still authorized"
}

// untold says why an answer to Order Query tells nothing of an order.
func untold(a capture.Answer) string {
	switch {
	case a.NoSuchTrade():
		return "the gateway knows no such trade (-4024)"
	case a.Kind != capture.AnswerDone || a.Order == nil:
		return "Order Query told nothing (" + whyOf(a) + "), so it may be paid; try again later"
	}
	return ""
}

func moving(a capture.Answer) string {
	return fmt.Sprintf("the gateway says %s, so a capture is under way; wait for its end", a.Order.State)
}
