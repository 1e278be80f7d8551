package reconcile_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/reconcile"
)

func says(t *testing.T, state capture.OrderState, number string) capture.Answer {
	o := &capture.Order{TradeID: "T1", State: state}
	if number != "" {
		o.Amount = amount(t, number)
	}
	return capture.Answer{Kind: capture.AnswerDone, Code: capture.CodeSuccess, Order: o}
}

// madeAt is an authorized order that says when it was made.
func madeAt(t *testing.T, at time.Time) capture.Answer {
	a := says(t, "authorized", "30.00")
	a.Order.CreatedAt = strconv.FormatInt(at.Unix(), 10)
	return a
}

// inLedger is a trade of ours for 24.99, authorized for 30.00, in a phase.
func inLedger(t *testing.T, phase capture.Phase) capture.State {
	s := capture.State{Phase: phase, Events: 1, Call: 1, Job: capture.Job{
		TradeID: "T1", Amount: amount(t, "24.99"), AuthorizedAmount: amount(t, "30.00"),
		CaptureBefore: noon.Add(48 * time.Hour),
	}}
	switch phase {
	case capture.PhaseCaptured, capture.PhaseFailed, capture.PhaseParked:
		s.Outcome = &capture.Event{Type: capture.EventType(phase), Amount: "24.99", Currency: "EUR"}
	}
	return s
}

func TestCompareFindsEachKind(t *testing.T) {
	t.Parallel()
	nothing := capture.State{}
	captured, failed := inLedger(t, capture.PhaseCaptured), inLedger(t, capture.PhaseFailed)
	open, parked := inLedger(t, capture.PhaseAnswered), inLedger(t, capture.PhaseParked)
	late, withdrawn, undated := failed, failed, open
	late.Job.CaptureBefore, undated.Job.CaptureBefore = noon.Add(-time.Hour), time.Time{}
	withdrawn.Withdrawn = true
	noTrade := capture.Answer{Kind: capture.AnswerRefused, Code: capture.CodeTradeID}
	silent := capture.Answer{Kind: capture.AnswerUnknown, Why: "timeout"}
	for _, c := range []struct {
		name     string
		expected string
		state    capture.State
		answer   capture.Answer
		expiring time.Duration
		want     reconcile.Kind
		why      string
	}{
		{"captured on both sides", "", captured, says(t, "paid", "24.99"), 0, reconcile.KindAgreed, "captured 24.99 EUR"},
		{"and as expected", "24.99", captured, says(t, "paid", "24.99"), 0, reconcile.KindAgreed, ""},
		{"shown with the authorized amount", "24.99", captured, says(t, "paid", "30.00"), 0, reconcile.KindAgreed, ""},
		{"shown with another amount", "", captured, says(t, "paid", "12.00"), 0, reconcile.KindAmountDiffers, "12.00 EUR"},
		{"expected otherwise", "25.00", captured, says(t, "paid", "24.99"), 0, reconcile.KindAmountDiffers, "expected 25.00 EUR"},
		{"paid without amount", "", captured, says(t, "paid", ""), 0, reconcile.KindUnknown, "without an amount"},
		{"captured, refunded since", "24.99", captured, says(t, "refunded", "24.99"), 0, reconcile.KindAgreed, "refunded since"},
		{"captured, gateway still authorized", "", captured, says(t, "authorized", "30.00"), 0, reconcile.KindNotAtGateway, "still shows authorized"},
		{"captured, gateway says cancelled", "", captured, says(t, "cancelled", "30.00"), 0, reconcile.KindNotAtGateway, "cancelled"},
		{"captured, gateway knows nothing", "", captured, noTrade, 0, reconcile.KindNotAtGateway, "-4024"},
		{"open, gateway knows nothing", "", open, noTrade, 0, reconcile.KindNotAtGateway, "no outcome yet"},
		{"paid, open for us", "", open, says(t, "paid", "24.99"), 0, reconcile.KindNotInLedger, "no outcome yet"},
		{"paid, parked for us", "", parked, says(t, "paid", "24.99"), 0, reconcile.KindNotInLedger, "shows parked"},
		{"paid, not ours", "24.99", nothing, says(t, "paid", "24.99"), 0, reconcile.KindNotInLedger, "does not know"},
		{"paid, not ours, other amount", "24.99", nothing, says(t, "paid", "20.00"), 0, reconcile.KindAmountDiffers, "expected 24.99"},
		{"paid, parked for another amount", "", parked, says(t, "paid", "20.00"), 0, reconcile.KindAmountDiffers, "the job asks for 24.99"},
		{"authorized, open", "", open, says(t, "authorized", "30.00"), 0, reconcile.KindNotCaptured, "authorized"},
		{"authorized, deadline near", "", open, says(t, "authorized", "30.00"), 72 * time.Hour, reconcile.KindExpiring, "ends 20"},
		{"authorized, deadline not near enough", "", open, says(t, "authorized", "30.00"), 47 * time.Hour, reconcile.KindNotCaptured, ""},
		{"failed on both sides", "", failed, says(t, "expired", "30.00"), 0, reconcile.KindAgreed, "expired"},
		{"failed, still authorized", "", failed, says(t, "authorized", "30.00"), 0, reconcile.KindNotCaptured, "2 days left; our ledger shows failed; `capture-worker retry T1` sends"},
		{"failed, authorized and hardly any time", "", failed, says(t, "authorized", "30.00"), 72 * time.Hour, reconcile.KindExpiring, "2 days left"},
		{"failed, and its time is over", "", late, says(t, "authorized", "30.00"), 0, reconcile.KindAgreed, "not captured"},
		{"failed, and the gateway gives more time", "", late, madeAt(t, noon.Add(-10*24*time.Hour)), 0, reconcile.KindNotCaptured, "20 days left; our ledger shows failed; `capture-worker retry T1 --before …`"},
		{"withdrawn, still authorized", "", withdrawn, says(t, "authorized", "30.00"), 0, reconcile.KindAgreed, "not captured"},
		{"authorized, deadline from the gateway", "", undated, madeAt(t, noon.Add(-29*24*time.Hour)), 48 * time.Hour, reconcile.KindExpiring, "24 hours left"},
		{"failed, but expected", "24.99", failed, says(t, "expired", "30.00"), 0, reconcile.KindNotCaptured, "expired"},
		{"failed, unknown there", "", failed, noTrade, 0, reconcile.KindAgreed, "no such trade"},
		{"failed, unknown there, but expected", "24.99", failed, noTrade, 0, reconcile.KindNotCaptured, "knows no such trade (-4024), and our ledger shows failed"},
		{"unknown everywhere", "24.99", nothing, noTrade, 0, reconcile.KindNotCaptured, "does not know"},
		{"on its way", "", open, says(t, "processing", "24.99"), 0, reconcile.KindUnknown, "not final"},
		{"a new word", "", open, says(t, "in_clearing", "24.99"), 0, reconcile.KindUnknown, "in_clearing"},
		{"silence", "", captured, silent, 0, reconcile.KindUnknown, "timeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			item := reconcile.Item{TradeID: "T1"}
			if c.expected != "" {
				item.Expected = amount(t, c.expected)
			}
			kind, why := reconcile.Compare(item, c.state, c.answer, noon, reconcile.Horizon{Expiring: c.expiring})
			if kind != c.want || why == "" || !strings.Contains(why, c.why) {
				t.Errorf("%s: %s, want %s with %q", kind, why, c.want, c.why)
			}
		})
	}
}
