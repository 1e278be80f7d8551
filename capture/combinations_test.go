package capture_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// allAnswers is every kind of answer with every code and every order state.
func allAnswers() []capture.Answer {
	codes := []string{"", capture.CodeSuccess, capture.CodeInternal, capture.CodeSignature, capture.CodeUser,
		capture.CodeFieldMissing, capture.CodeRequestID, capture.CodeWindowExceeded, capture.CodeAmountExceeded,
		capture.CodeCurrencyMismatch, capture.CodeTradeID, "-9999"}
	states := []capture.OrderState{"", capture.OrderPaid, capture.OrderAuthorized, capture.OrderPending,
		capture.OrderProcessing, capture.OrderVerify, capture.OrderDeclined, capture.OrderFailed, capture.OrderExpired,
		capture.OrderCancelled, capture.OrderRefunded, "chargeback"}
	kinds := []capture.AnswerKind{capture.AnswerDone, capture.AnswerRefused, capture.AnswerUnknown, capture.AnswerNotSent}
	var out []capture.Answer
	for _, kind := range kinds {
		for _, code := range codes {
			out = append(out, capture.Answer{Kind: kind, Code: code})
			if code != "" && code != capture.CodeSuccess && code != capture.CodeAmountExceeded {
				continue // no row looks at the order of these
			}
			for _, state := range states {
				for _, sum := range []capture.Amount{{}, eurMust("7.50")} {
					out = append(out, capture.Answer{Kind: kind, Code: code, Order: &capture.Order{State: state, Amount: sum}})
				}
			}
		}
	}
	return out
}

// allStates is every phase with every flag that a row may look at, whether or
// not events can lead there.
func allStates() []capture.State {
	var out []capture.State
	for _, phase := range append(capture.Phases(), "") {
		for flags := range 1 << 7 {
			on := func(i int) bool { return flags>>i&1 == 1 }
			out = append(out, stateWith(phase, on))
		}
	}
	return out
}

func stateWith(phase capture.Phase, on func(int) bool) capture.State {
	s := capture.State{Phase: phase, Events: 3, Attempt: 1, Call: 1, RequestID: "request000000000000000000001",
		Job: starts()[0], OpenedAt: noon.Add(-time.Minute), LeaseUntil: noon.Add(-10 * time.Second)}
	if phase == capture.PhaseCaptured || phase == capture.PhaseFailed || phase == capture.PhaseParked {
		s.Outcome = &capture.Event{ID: "o", Type: capture.EventType(phase), Amount: "7.50", Currency: "EUR"}
	}
	if s.Unanswered = on(0); on(1) {
		s.LeaseUntil = noon.Add(time.Second)
	}
	if s.Doubted = on(2); on(3) {
		s.IDRefusals, s.Errors = 2, 3
	}
	if on(4) {
		s.Queries, s.LastQuery = 2, noon.Add(-time.Second)
		s.Agreeing = capture.Agreement{What: capture.SawAuthorized, At: []time.Time{noon.Add(-3 * time.Second), s.LastQuery}}
	}
	if on(5) {
		s.Job = starts()[2] // its deadline is over
	}
	if on(6) {
		s = capture.State{Phase: phase, Outcome: s.Outcome} // nothing else is known
	}
	return s
}

// TestNoCombinationIsUndecided asks both functions about every combination of
// phase, flags, job, answer and order state: each has a row, the same one each
// time, and what it says is complete.
func TestNoCombinationIsUndecided(t *testing.T) {
	other := starts()[0]
	other.Amount = eurMust("8.00")
	jobs := []capture.Job{starts()[0], other, starts()[1], starts()[2]}
	answers := allAnswers()
	for _, s := range allStates() {
		for _, job := range jobs {
			step := capture.Decide(new(s), new(job), noon, brief)
			if err := errors.Join(complete(step), lasting(step, s, job)); err != nil {
				t.Fatalf("%v\nstate %+v\njob %+v", err, s, job)
			}
		}
		for i, a := range answers {
			job := &jobs[i%len(jobs)]
			if i%5 == 0 {
				job = nil
			}
			for _, f := range []capture.Finding{{Via: capture.ViaQuery, Answer: a}, {Via: capture.ViaCapture, Call: i % 2, Answer: a}} {
				if err := sound(s, f, job); err != nil {
					t.Fatalf("%v\nstate %+v\nfinding %+v", err, s, f)
				}
			}
		}
	}
}

// complete checks that the step has the members that its action needs.
func complete(step capture.Step) error {
	switch {
	case step.Rule == "":
		return fmt.Errorf("step %q has no rule", step.Do)
	case step.Do == capture.DoWait && !step.Until.After(noon):
		return fmt.Errorf("waits until %s, which is over", step.Until)
	case step.Do == capture.DoAttempt && (step.Event == nil || step.Event.Type != capture.Attempted || step.Event.Job == nil):
		return fmt.Errorf("an attempt without its intent")
	case step.Do == capture.DoSettle && (step.Event == nil || !step.Event.Type.Outcome()):
		return fmt.Errorf("settles nothing")
	case step.Do != capture.DoAttempt && step.Do != capture.DoSettle && step.Event != nil:
		return fmt.Errorf("%s has an event", step.Do)
	}
	return nil
}

// lasting checks that Decide returns the same attempt until just before its Until,
// and another step at Until.
func lasting(step capture.Step, s capture.State, job capture.Job) error {
	if step.Do != capture.DoAttempt {
		return nil
	}
	last := step.Until
	if last.IsZero() {
		last = noon.AddDate(10, 0, 0)
	}
	for _, now := range []time.Time{noon.Add(time.Nanosecond), noon.Add(last.Sub(noon) / 2), last.Add(-time.Nanosecond)} {
		if then := capture.Decide(new(s), new(job), now, brief); !reflect.DeepEqual(then, step) {
			return fmt.Errorf("at %s it is %+v, after %+v", now, then, step)
		}
	}
	if late := capture.Decide(new(s), new(job), last, brief); !step.Until.IsZero() && late.Do == capture.DoAttempt {
		return fmt.Errorf("attempts at %s, the deadline", last)
	}
	return nil
}

// sound checks that for any answer captured is never replaced, only paid is
// captured, and a timeout is never a refusal.
func sound(s capture.State, f capture.Finding, job *capture.Job) error {
	e := capture.Judge(new(s), job, f, noon, brief)
	paid := f.Answer.Kind == capture.AnswerDone && f.Answer.Order != nil && f.Answer.Order.State == capture.OrderPaid
	switch {
	case e == nil && s.Phase != capture.PhaseCaptured && f.Via == capture.ViaQuery:
		return fmt.Errorf("a query leaves no trace")
	case e == nil:
		return nil
	case s.Phase == capture.PhaseCaptured:
		return fmt.Errorf("%s after captured", e.Type)
	case e.Rule == "" || e.Answer == nil:
		return fmt.Errorf("%s without rule or evidence", e.Type)
	case e.Type == capture.Captured && (!paid || e.Sum().IsZero()):
		return fmt.Errorf("captured %s on %s", e.Sum(), f.Answer.Kind)
	case e.Type == capture.Failed && (f.Answer.Kind == capture.AnswerUnknown || f.Answer.Kind == capture.AnswerNotSent):
		return fmt.Errorf("failed (%s) on %s", e.Reason, f.Answer.Kind)
	case (e.Type == capture.Failed || e.Type == capture.Parked) && e.Reason == "":
		return fmt.Errorf("%s without a reason", e.Type)
	}
	return nil
}
