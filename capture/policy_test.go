package capture_test

import (
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// Who forgets to set a policy must not pay twice: after a call whose answer was
// lost, one look at once does not clear the way for the next.
func TestZeroPolicyIsTheDefault(t *testing.T) {
	began := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	sum, err := capture.ParseAmount("24.99", "EUR")
	if err != nil {
		t.Fatal(err)
	}
	job := capture.Job{TradeID: "T1", Amount: sum}
	at := func(d time.Duration) time.Time { return began.Add(d) }
	authorized := &capture.Answer{Kind: capture.AnswerDone, Order: &capture.Order{TradeID: "T1", State: capture.OrderAuthorized, Amount: sum}}
	s := capture.Fold([]capture.Event{
		{ID: "E1", Type: capture.Attempted, TradeID: "T1", Time: began, Attempt: 1, Call: 1, RequestID: "R1", Job: &job, LeaseUntil: at(time.Minute)},
		{ID: "E2", Type: capture.Answered, TradeID: "T1", Time: at(time.Second), Call: 1, Via: capture.ViaCapture,
			Answer: &capture.Answer{Kind: capture.AnswerUnknown, Why: "timeout"}},
		{ID: "E3", Type: capture.Queried, TradeID: "T1", Time: at(2 * time.Second), Call: 1, Via: capture.ViaQuery, Answer: authorized},
	})
	for d := time.Duration(0); d < 100*time.Hour; d += d/4 + time.Second {
		zero := capture.Decide(&s, &job, at(3*time.Second+d), capture.Policy{})
		want := capture.Decide(&s, &job, at(3*time.Second+d), capture.DefaultPolicy())
		if zero.Do == capture.DoAttempt || zero.Do != want.Do || zero.Rule != want.Rule || !zero.Until.Equal(want.Until) {
			t.Fatalf("after %s: %s (%s), want %s (%s)", d, zero.Do, zero.Rule, want.Do, want.Rule)
		}
	}
	noTrade := capture.Finding{Via: capture.ViaQuery, Answer: capture.Answer{Kind: capture.AnswerRefused, Code: capture.CodeTradeID}}
	if e := capture.Judge(&s, &job, noTrade, at(4*time.Second), capture.Policy{}); e == nil || e.Type != capture.Queried {
		t.Errorf("one early query that knows no such trade is judged %+v, want it noted", e)
	}
	set := capture.Policy{Settle: 1, Agree: 3, Spacing: 2, GiveUpAfter: 4, Window: 5, MaxAnswers: 6, AnswersFor: 7, MaxIDs: 8, Final: 9, AskFirst: true}
	if set.OrDefault() != set {
		t.Errorf("what is set was changed: %+v", set.OrDefault())
	}
}
