package notify_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/notify"
)

const uuid = "160899f3-f6d9-a8d8-ab5b-82eacdab9c5b"

// lastNotified is the newest notified event of a trade.
func (w *world) lastNotified(trade string) capture.Notification {
	w.t.Helper()
	loaded, err := w.ledger.Load(w.t.Context(), trade)
	if err != nil {
		w.t.Fatal(err)
	}
	var last capture.Notification
	for _, e := range loaded.Events {
		if e.Type == capture.Notified {
			last = *e.Notification
		}
	}
	return last
}

// The event says how the notification was signed, when the money was paid, and
// what was sent if the amount cannot be read; the trade is ours in any letter
// case.
func TestEventHoldsWhatWasSigned(t *testing.T) {
	w := newWorld(t, nil)
	defer w.close()
	w.shut.Store(true) // the queries are not the subject
	w.announced(uuid, time.Now())
	d := data(strings.ToUpper(uuid), "paid")
	d["paid_time"] = "1720684254"
	w.want(w.post(signed(secret, d)), http.StatusOK)
	want := capture.Notification{
		Type: "payment", OrderID: "G1", TransactionID: "tx" + strings.ToUpper(uuid), State: capture.OrderPaid, Amount: sum,
		PaidTime: "1720684254", Rendering: "library",
	}
	if got := w.lastNotified(uuid); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	d["amount"] = "24,99"
	w.want(w.post(signed(secret, d)), http.StatusOK)
	want.Amount, want.AmountText = capture.Amount{}, "24,99 EUR"
	if got := w.lastNotified(uuid); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A notification that says paid forbids capture calls: it is kept beyond the
// number that is kept of one trade, and again after an operator's release.
func TestPaidIsAlwaysKept(t *testing.T) {
	w := newWorld(t, func(c *notify.Config, _ *world) { c.PerTrade = 3 })
	defer w.close()
	w.shut.Store(true)
	w.announced("T1", time.Now())
	send := func(state string) { t.Helper(); w.want(w.post(signed(secret, data("T1", state))), http.StatusOK) }
	paidSince := func() time.Time {
		opened, err := w.recorder.Open(t.Context(), "T1")
		if err != nil {
			t.Fatal(err)
		}
		return opened.State.NotifiedPaid
	}
	for i := range 5 {
		send(fmt.Sprintf("word%d", i))
	}
	if n := w.count("T1", capture.Notified); n != 3 {
		t.Fatalf("%d events kept, want 3", n)
	}
	send("paid")
	if paidSince().IsZero() || w.count("T1", capture.Notified) != 4 {
		t.Error("not kept beyond the number of one trade")
	}
	send("paid")
	if n := w.count("T1", capture.Notified); n != 4 {
		t.Errorf("a copy was kept: %d events", n)
	}
}

// A copy that comes after an operator has sent the trade back to work is new
// evidence; the memory of copies must not hide it.
func TestPaidAgainAfterARelease(t *testing.T) {
	w := newWorld(t, nil)
	defer w.close()
	w.shut.Store(true)
	w.announced("T1", time.Now())
	send := func() { t.Helper(); w.want(w.post(signed(secret, data("T1", "paid"))), http.StatusOK) }
	send()
	w.ended("T1", capture.Parked, capture.ReasonNotifiedPaid)
	w.append("T1", capture.Event{Type: capture.Released, By: "kim", Note: "paid by mistake"})
	w.later(2 * time.Minute)
	send()
	if n := w.count("T1", capture.Notified); n != 2 {
		t.Errorf("%d notified events, want 2", n)
	}
	send()
	if n := w.count("T1", capture.Notified); n != 2 {
		t.Errorf("a copy was kept: %d notified events", n)
	}
}
