package capture_test

import (
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// A second job may spell a UUID otherwise; the gateway gets it as the first job
// wrote it (rule 7).
func TestTheFirstSpellingGoesToTheGateway(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time { return time.Date(2026, 12, 1, 10, 0, s, 0, time.UTC) }
	sum := func(number string) capture.Amount {
		a, err := capture.ParseAmount(number, "EUR")
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	const id = "160899F3-f6d9-a8d8-ab5b-82eacdab9c5b"
	first := capture.Job{TradeID: id, Amount: sum("31.00")}
	second := capture.Job{TradeID: strings.ToUpper(id), Amount: sum("30.00")}
	authorized := capture.Answer{Kind: capture.AnswerDone, Order: &capture.Order{State: capture.OrderAuthorized, Amount: sum("30.00")}}
	failed := capture.Event{
		ID: "e1", Type: capture.Failed, Time: at(0), Job: &first, Reason: capture.ReasonAmountExceeded, Amount: "31.00", Currency: "EUR",
	}
	state := capture.Fold([]capture.Event{failed})
	query := capture.Judge(&state, &second, capture.Finding{Via: capture.ViaQuery, Answer: authorized, Asked: at(1)}, at(1), capture.Policy{})
	state.Add(query)
	step := capture.Decide(&state, &second, at(2), capture.Policy{})
	if step.Do != capture.DoAttempt {
		t.Fatalf("%s by %q, want an attempt", step.Do, step.Rule)
	}
	if got := step.Event.Job; got.TradeID != id || got.Amount != second.Amount {
		t.Errorf("the intent is for %s of %s, want %s of %s", got.Amount, got.TradeID, second.Amount, id)
	}
}
