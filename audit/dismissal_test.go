package audit_test

import (
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/audit"
	"github.com/capture-worker/capture-worker/capture"
)

func TestDismissal(t *testing.T) {
	amount, err := capture.ParseAmount("5.00", "EUR")
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	job := &capture.Job{TradeID: "T1", Amount: amount}
	parked := capture.Event{
		ID: "E1", Type: capture.Parked, TradeID: "T1", Time: begin, Reason: capture.ReasonRefunded, Job: job,
		Amount: "5.00", Currency: "EUR", Via: capture.ViaQuery,
		Answer: &capture.Answer{Kind: capture.AnswerDone, Order: &capture.Order{State: capture.OrderRefunded, Amount: amount}},
	}
	dismissed := capture.Event{ID: "E2", Type: capture.Dismissed, TradeID: "T1", Time: begin.Add(time.Hour), By: "ann", Note: "refunded by hand"}
	nameless, early := dismissed, dismissed
	nameless.By = ""
	for name, tt := range map[string]struct {
		events []capture.Event
		rules  int
	}{
		"of a parked trade":   {[]capture.Event{parked, dismissed}, 0},
		"by nobody":           {[]capture.Event{parked, nameless}, 1},
		"of a trade not ours": {[]capture.Event{early}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			found := audit.Events("T1", tt.events, capture.Policy{Agree: 2})
			if len(found) != tt.rules {
				t.Errorf("found %v, want %d violations", found, tt.rules)
			}
			for _, v := range found {
				if v.Rule != "8" {
					t.Errorf("rule %s, want 8: %s", v.Rule, v)
				}
			}
		})
	}
}
