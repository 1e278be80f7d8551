package sim

import (
	"slices"

	"github.com/capture-worker/capture-worker/capture"
)

// This file checks the rules that need only the events of a trade, independently of
// the production code, when each event is stored.

// reopens reports whether the event is a release or a retry by an operator.
func reopens(e capture.Event) bool { return e.Type == capture.Released || e.Type == capture.Retried }

// sinceReopened returns the events from the last release or retry on.
func sinceReopened(events []capture.Event) []capture.Event {
	for i, e := range slices.Backward(events) {
		if reopens(e) {
			return events[i:]
		}
	}
	return events
}

// withdrawn reports whether the trade's job is withdrawn; only a retry undoes
// that (rule 13).
func withdrawn(events []capture.Event) bool {
	for _, e := range slices.Backward(events) {
		switch e.Type {
		case capture.Withdrawn:
			return true
		case capture.Retried:
			return false
		}
	}
	return false
}

// notifiedPaid reports whether a notification that says paid is newer than the
// last intent (rule 11).
func notifiedPaid(events []capture.Event) bool {
	for _, e := range slices.Backward(events) {
		switch {
		case reopens(e), e.Type == capture.Attempted:
			return false
		case e.Type == capture.Notified && e.Notification.SaysPaid():
			return true
		}
	}
	return false
}

// checkSequel compares a new event with those before it.
func (s *Sim) checkSequel(t *task, a *account, before []capture.Event, e capture.Event) {
	switch e.Type {
	case capture.Attempted:
		s.checkIntent(t, a, before, e)
	case capture.Parked:
		if n := freshRefused(sinceReopened(before)); e.Reason == capture.ReasonRequestIDRefused && n < 2 {
			s.breach("4", "%s is parked as %s after %d new request_ids were refused", a.plan.ID, e.Reason, n)
		}
	case capture.Failed:
		if notifiedPaid(before) {
			s.breach("11", "%s is failed (%s), but a newer notification says paid", a.plan.ID, e.Reason)
		}
	}
}

func (s *Sim) checkIntent(t *task, a *account, before []capture.Event, e capture.Event) {
	open := sinceReopened(before)
	if withdrawn(before) {
		s.breach("13", "an intent for %s, whose job is withdrawn", a.plan.ID)
	}
	if since, is := s.withdrawn[a.plan.order()]; is && len(open) == len(before) && len(requestIDs(before)) == 0 && t.checked > since {
		s.breach("13", "%s is to be called for first, and its order is withdrawn since %s", a.plan.ID, since)
	}
	if notifiedPaid(before) {
		s.breach("11", "an intent for %s, but a newer notification says paid", a.plan.ID)
	}
	if failed := failedFor(open, e.Job.Amount); failed != nil && failed.Reason != capture.ReasonWindowExceeded {
		s.breach("8", "an intent for %s with %s, which has failed before (%s)", a.plan.ID, e.Job.Amount, failed.Reason)
	}
	if n := settledNothing(open); n >= s.policy.MaxAnswers {
		s.breach("10", "an intent for %s after %d answers that settled nothing", a.plan.ID, n)
	}
	if word := deadWord(open); word != "" {
		s.breach("5", "an intent for %s after a call was answered with %s", a.plan.ID, word)
	}
	ids := requestIDs(append(slices.Clip(before), e))
	if n := len(ids) - len(requestIDs(before[:len(before)-len(open)])); n > s.policy.MaxIDs {
		s.breach("4", "%s has used %d request_ids since it was last sent back to work", a.plan.ID, n)
	}
}

// freshRefused counts the request_ids that were refused when they were sent for
// the first time.
func freshRefused(events []capture.Event) int {
	n, calls := 0, map[string]int{}
	for _, e := range events {
		switch {
		case e.Type == capture.Attempted:
			calls[e.RequestID]++
		case e.Type == capture.Answered && e.Answer.Code == capture.CodeRequestID && calls[e.RequestID] == 1:
			n++
		}
	}
	return n
}

// settledNothing counts the refusals and unknown codes among the answers of capture
// calls since the last outcome.
func settledNothing(events []capture.Event) int {
	n := 0
	for _, e := range events {
		switch {
		case e.Type.Outcome():
			n = 0
		case e.Type != capture.Answered || e.Excused || e.Answer.OurFault():
		case e.Answer.Code == "" || e.Answer.Code == capture.CodeInternal || e.Answer.Code == capture.CodeRequestID:
		case e.Answer.Order == nil || dead(e.Answer.Order.State):
			n++
		}
	}
	return n
}

// deadWord returns the dead order state with which a call of the current request
// was answered.
func deadWord(events []capture.Event) capture.OrderState {
	for _, e := range slices.Backward(events) {
		switch {
		case e.Type.Outcome() || reopens(e):
			return ""
		case e.Type == capture.Answered && e.Answer.Order != nil && dead(e.Answer.Order.State):
			return e.Answer.Order.State
		}
	}
	return ""
}

// requestIDs returns the announced request_ids.
func requestIDs(events []capture.Event) map[string]bool {
	ids := map[string]bool{}
	for _, e := range events {
		if e.Type == capture.Attempted {
			ids[e.RequestID] = true
		}
	}
	return ids
}

// failedFor returns the failed outcome of a sum.
func failedFor(events []capture.Event, asked capture.Amount) *capture.Event {
	for _, e := range slices.Backward(events) {
		if e.Type == capture.Failed && e.Sum() == asked {
			return &e
		}
	}
	return nil
}
