package capture_test

import (
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// Where the ledger has lost events, a query that it still holds may be older than
// a call that it does not: it clears no way to another call (rule 2).
func TestQueriesBeforeAskSinceClearNothing(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time { return time.Date(2026, 12, 1, 10, 0, s, 0, time.UTC) }
	amount, err := capture.ParseAmount("30.00", "EUR")
	if err != nil {
		t.Fatal(err)
	}
	job := capture.Job{TradeID: "T1", Amount: amount}
	refused := capture.Answer{Kind: capture.AnswerUnknown, Code: capture.CodeInternal}
	authorized := capture.Answer{Kind: capture.AnswerDone, Order: &capture.Order{State: capture.OrderAuthorized, Amount: amount}}
	state := capture.Fold([]capture.Event{
		{Type: capture.Attempted, Time: at(0), Job: &job, Attempt: 1, Call: 1, RequestID: "r1", LeaseUntil: at(50)},
		{Type: capture.Answered, Time: at(1), Via: capture.ViaCapture, Call: 1, Answer: &refused, RetryAt: at(2)},
		{Type: capture.Queried, Time: at(2), Via: capture.ViaQuery, Answer: &authorized, RetryAt: at(3)},
	})
	for _, tt := range []struct {
		since time.Time
		want  capture.Action
	}{{time.Time{}, capture.DoAttempt}, {at(2), capture.DoAttempt}, {at(3), capture.DoQuery}} {
		step := capture.Decide(&state, &job, at(59), capture.Policy{AskFirst: true, AskSince: tt.since})
		if step.Do != tt.want {
			t.Errorf("asked since %s: %s by %q, want %s", tt.since, step.Do, step.Rule, tt.want)
		}
	}
}
