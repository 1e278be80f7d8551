package history

import (
	"fmt"
	"slices"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// Summary is a trade in three lines.
type Summary struct {
	State string // the outcome, the sum and when
	Why   string // what that rests on
	Next  string // what happens next, or what an operator should do
}

// Summarize returns the summary of a trade with these events and this state. p is
// the policy of the workers.
func Summarize(events []capture.Event, s capture.State, now time.Time, p capture.Policy) Summary {
	if s.Outcome == nil {
		return summarizeOpen(events, s, now, p)
	}
	o := s.Outcome
	h := Summary{State: string(o.Type), Why: evidence(*o)}
	if o.Reason != "" {
		h.State += " (" + o.Reason + ")"
	}
	if sum := o.Sum(); !sum.IsZero() {
		h.State += ": " + sum.String()
	}
	h.State += ", " + moment(o.Time)
	if paid := paidText(withFacts(*o, events)); paid != "" {
		h.Why += "; " + paid
	}
	if o.Corrects != "" {
		h.State += "; this corrects an earlier outcome"
	}
	switch {
	case s.Dismissed:
		h.State += "; an operator has closed the case"
		if e := lastOf(events, capture.Dismissed); e != nil {
			h.Next = fmt.Sprintf("nothing: %s closed it, %s: %s", writer(*e), moment(e.Time), e.Note)
		}
	case o.Type == capture.Parked:
		h.Next = afterParked(*o)
	case o.Type == capture.Failed && !s.NotifiedPaid.IsZero():
		h.State += "; a notification says paid"
		h.Next = afterPaidNotification(s, p)
	case o.Type == capture.Failed && !s.OpenedAt.IsZero():
		h.Next = "another job has a different request since " + moment(s.OpenedAt) + ": Order Query is asked before a capture call"
	case o.Type == capture.Failed:
		h.Next = afterFailed(*o)
	}
	if s.Withdrawn && o.Type != capture.Captured && o.Reason != capture.ReasonWithdrawn {
		h.State += "; its job is withdrawn"
	}
	return h
}

// afterPaidNotification returns what follows if a notification of a failed trade
// says paid.
func afterPaidNotification(s capture.State, p capture.Policy) string {
	return "Order Query is asked until it says paid too; if it does not, the trade is parked from " +
		moment(s.NotifiedPaid.Add(p.OrDefault().AnswersFor)) + " on"
}

// summarizeOpen returns the summary of a trade without an outcome.
func summarizeOpen(events []capture.Event, s capture.State, now time.Time, p capture.Policy) Summary {
	h := Summary{State: "open"}
	if !s.Job.Amount.IsZero() {
		h.State += ": " + s.Job.Amount.String()
	}
	switch {
	case s.OpenedAt.IsZero(): // only events of a newer program
		h.State += ", no outcome yet"
	default:
		h.State += ", no outcome since " + moment(s.OpenedAt)
	}
	last := lastOf(events, capture.Attempted, capture.Released, capture.Retried, capture.Withdrawn)
	if s.Withdrawn && s.Job.TradeID == "" && last != nil {
		return Summary{
			State: "withdrawn since " + moment(last.Time) + ", not captured", Why: withdrawnBy(*last),
			Next: "no job has named it; one that does is acknowledged without a capture call",
		}
	}
	h.Why, h.Next = waitsFor(s, last, now), nextStep(s, last, now, p)
	deadline := s.Deadline(p.OrDefault().Window)
	switch {
	case s.Withdrawn: // no call is made, whatever time there is
	case deadline.IsZero():
	case now.Before(deadline):
		h.Next += "; it can be captured until " + moment(deadline)
	default:
		h.Next += "; no capture call is made any more since " + moment(deadline)
	}
	return h
}

// waitsFor returns why a trade is still open. last is the last capture call, or
// what an operator did after it.
func waitsFor(s capture.State, last *capture.Event, now time.Time) string {
	switch {
	case s.Unanswered && now.Before(s.LeaseUntil):
		return fmt.Sprintf("capture call %d is under way", s.Call)
	case s.Withdrawn && last != nil && last.Type == capture.Withdrawn:
		return withdrawnBy(*last)
	case isRelease(last):
		return fmt.Sprintf("%s sent it back to the workers: %s", writer(*last), last.Note)
	case s.Unanswered:
		return fmt.Sprintf("capture call %d ended without an answer", s.Call)
	case s.Call > 0:
		return fmt.Sprintf("the answer to capture call %d settled nothing", s.Call)
	}
	return "no capture call was made yet"
}

// nextStep returns what capture.Decide makes a worker do about an open trade.
func nextStep(s capture.State, last *capture.Event, now time.Time, p capture.Policy) string {
	if !s.NotifiedPaid.IsZero() {
		return afterPaidNotification(s, p)
	}
	const otherwise = "; if nothing happens, see `capture-worker lane list` and `capture-worker check`"
	step := capture.Decide(&s, &s.Job, now, p)
	switch step.Do {
	case capture.DoQuery:
		if isRelease(last) && s.Queries == 0 {
			return "the worker that takes its job asks Order Query"
		}
	case capture.DoWait:
		return afterWait(s, step.Until, p)
	case capture.DoAttempt:
		return fmt.Sprintf("the worker that has its job makes capture call %d now: Order Query says authorized", step.Event.Call) + otherwise
	case capture.DoSettle:
		return "the worker that has its job records " + settledAs(step.Event) + " now" + otherwise
	}
	return "the worker that has its job asks Order Query now" + otherwise
}

func isRelease(e *capture.Event) bool {
	return e != nil && (e.Type == capture.Released || e.Type == capture.Retried)
}

func settledAs(e *capture.Event) string { return fmt.Sprintf("%s (%s)", e.Type, e.Reason) }

func withdrawnBy(e capture.Event) string {
	text := "its job is withdrawn"
	if e.By != "" {
		text += " by " + e.By
	}
	if e.Note != "" {
		text += ": " + e.Note
	}
	return text
}

// afterWait returns what a worker does at the end of a wait.
func afterWait(s capture.State, until time.Time, p capture.Policy) string {
	switch {
	case s.Unanswered && until.Equal(s.LeaseUntil):
		return "its answer, or an Order Query after " + moment(until)
	}
	if then := capture.Decide(&s, &s.Job, until, p); then.Do == capture.DoSettle {
		return "it is " + settledAs(then.Event) + " from " + moment(until) + " on"
	}
	return "Order Query is asked again from " + moment(until) + " on"
}

// lastOf returns the last event of one of these types, nil if there is none.
func lastOf(events []capture.Event, types ...capture.EventType) *capture.Event {
	for i := range slices.Backward(events) {
		if slices.Contains(types, events[i].Type) {
			return &events[i]
		}
	}
	return nil
}

// afterParked returns what an operator should do; docs/operations.md has the
// details.
func afterParked(o capture.Event) string {
	release := "`capture-worker parked release " + o.TradeID + " --reason '…'`"
	dismiss := "`capture-worker parked dismiss " + o.TradeID + " --reason '…'`"
	switch o.Reason {
	case capture.ReasonUnresolved:
		return release + ": it asks Order Query first, and refuses while the trade may be paid"
	case capture.ReasonAmountMismatch:
		return "compare with the order and settle it by hand, then " + dismiss
	case capture.ReasonTradeUnknown:
		return "the trade_id is wrong, or another account's: correct the publisher, then " + dismiss
	case capture.ReasonAmountUnreadable:
		return "read the amount in the answer below, compare it with the order, settle it by hand, then " + dismiss
	case capture.ReasonRequestRefused:
		return "the answers below show which field the gateway misses (gateway.notify_url, the job's description): correct it, then " + release
	case capture.ReasonRefusalContradicted, capture.ReasonUnknownCode:
		return "ask the gateway's support about the code, naming the responses below, then " + release
	case capture.ReasonNotifiedPaid:
		return "a notification says paid and Order Query does not: ask the gateway's support; " + release + " once they agree, or settle it by hand and " + dismiss
	case capture.ReasonRequestIDRefused, capture.ReasonRequestIDsSpent:
		return "ask the gateway's support, naming the responses below, then " + release
	case capture.ReasonRefunded:
		return "find out at the gateway who refunded it, then " + dismiss
	}
	return "check the trade at the gateway, then " + release + " or " + dismiss
}

// afterFailed returns how the money can still be captured. None was taken.
func afterFailed(o capture.Event) string {
	const nothing = "no money was taken; "
	retry := "`capture-worker retry " + o.TradeID + " --reason '…'`"
	switch o.Reason {
	case capture.ReasonAmountExceeded:
		return nothing + "publish a job with an amount within the authorization"
	case capture.ReasonCurrencyMismatch:
		return nothing + "publish a job in the currency of the authorization"
	case capture.ReasonTradeIncorrect:
		return nothing + "the gateway knows no such authorization: publish a job with the right trade_id; if the account was a wrong one, " + retry
	case capture.ReasonWithdrawn:
		return nothing + "its job was withdrawn; only " + retry + " reopens it"
	case capture.ReasonWindowExceeded:
		return nothing + "the customer has to authorize the payment again, unless the gateway still shows it authorized: " +
			"`capture-worker retry " + o.TradeID + " --before TIME --reason '…'`"
	}
	return nothing + "the customer has to authorize the payment again"
}

// evidence returns what an outcome rests on.
func evidence(e capture.Event) string {
	switch {
	case e.Answer == nil && e.By != "":
		return e.By + " wrote: " + e.Note
	case e.Answer == nil && e.Reason == capture.ReasonWithdrawn:
		return "its job was withdrawn before any capture call"
	case e.Answer == nil && e.Reason == capture.ReasonRequestIDsSpent:
		return "the gateway refused all its request_ids"
	case e.Answer == nil:
		return "Order Query gave no usable answer in time"
	case e.Via == capture.ViaCapture:
		return "the gateway answered the capture call: " + AnswerText(*e.Answer) + askedBy(e)
	}
	return "Order Query answered: " + AnswerText(*e.Answer) + askedBy(e)
}

// askedBy names the operator whose release or retry brought an outcome.
func askedBy(e capture.Event) string {
	if e.By == "" {
		return ""
	}
	return fmt.Sprintf("; requested by %s: %s", e.By, e.Note)
}

// moment formats a time for text.
func moment(t time.Time) string { return t.UTC().Format(time.DateTime) + " UTC" }
