package cli

import (
	"testing"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/reconcile"
)

// euros reads an amount as it stands in a row.
func euros(t *testing.T, number string) capture.Amount {
	t.Helper()
	a, err := capture.ParseAmount(number, "EUR")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A failed trade agrees where the gateway took nothing either: no money moved.
func TestAgreedMoneyIsThatWhichWasCaptured(t *testing.T) {
	t.Parallel()
	ten := euros(t, "10.00")
	var found summary
	for _, v := range []reconcile.Verdict{
		verdictOf(reconcile.KindAgreed, capture.Captured, ten),
		verdictOf(reconcile.KindAgreed, capture.Failed, ten),
		verdictOf(reconcile.KindNotCaptured, capture.Failed, ten),
	} {
		found.add(rowOf(v))
	}
	const want = "reconcile: 3 trades: 2 agreed (10.00 EUR), 1 not_captured (10.00 EUR)"
	if got := found.line(); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// verdictOf is about a trade whose outcome is in the ledger.
func verdictOf(kind reconcile.Kind, outcome capture.EventType, a capture.Amount) reconcile.Verdict {
	return reconcile.Verdict{Kind: kind, State: capture.State{
		Phase: capture.Phase(outcome), Events: 2, Job: capture.Job{TradeID: "T1", Amount: a},
		Outcome: &capture.Event{Type: outcome, Amount: a.Number(), Currency: a.Currency()},
	}}
}
