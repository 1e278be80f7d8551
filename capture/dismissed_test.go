package capture_test

import (
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// A dismissal closes an operator's case and nothing else: the trade stays parked,
// the truth still corrects it, and a release opens it as any other.
func TestDismissedSaysNothingAboutTheMoney(t *testing.T) {
	parked := func() *book {
		b := newBook(t)
		job := jobOf(t, "30.00")
		b.learn(&job, sees(capture.OrderRefunded, job.Amount), "refunded")
		b.append(capture.Event{Type: capture.Dismissed, TradeID: "T1", By: "ann", Note: "settled by hand"})
		return b
	}
	b := parked()
	job := jobOf(t, "30.00")
	if !b.state().Dismissed || b.state().Phase != capture.PhaseParked {
		t.Fatalf("after the dismissal: phase %s, dismissed %t", b.state().Phase, b.state().Dismissed)
	}
	b.want(job, "parked, same ask")
	b.now = b.now.Add(time.Hour)
	b.learn(nil, sees(capture.OrderPaid, job.Amount), "paid")
	if b.state().Dismissed || b.state().Phase != capture.PhaseCaptured {
		t.Errorf("after the truth came: phase %s, dismissed %t", b.state().Phase, b.state().Dismissed)
	}
	b = parked()
	b.append(capture.Event{Type: capture.Released, TradeID: "T1", By: "ann", Note: "again"})
	if b.state().Dismissed || b.state().Outcome != nil {
		t.Errorf("after a release: dismissed %t, outcome %v", b.state().Dismissed, b.state().Outcome)
	}
	b = newBook(t)
	b.append(capture.Event{Type: capture.Dismissed, TradeID: "T1", By: "ann", Note: "what?"})
	if b.state().Dismissed {
		t.Error("a trade that is not parked was dismissed")
	}
}
