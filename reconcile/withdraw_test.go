package reconcile_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger/ledgertest"
	"github.com/capture-worker/capture-worker/reconcile"
)

// A withdrawal is answered by where the trade stands, and is written at most once.
func TestWithdrawByWhereTheTradeStands(t *testing.T) {
	t.Parallel()
	attempt := func(d *fixture) *capture.Event {
		job := d.job("T")
		return &capture.Event{
			Type: capture.Attempted, Job: &job, OrderID: job.OrderID, Attempt: 1, Call: 1,
			RequestID: "0123456789012345678901234", LeaseUntil: time.Now().Add(time.Minute),
		}
	}
	answered := func(d *fixture, a capture.Answer) {
		d.write("T", attempt(d))
		d.write("T", &capture.Event{Type: capture.Answered, Call: 1, Via: capture.ViaCapture, Answer: &a})
	}
	paid := saw(capture.OrderPaid, euros(t, "24.90"))
	for name, tt := range map[string]struct {
		before func(*fixture)
		want   reconcile.WithdrawalResult
		events string
	}{
		"unknown":        {func(*fixture) {}, reconcile.WithdrawalInTime, "withdrawn"},
		"seen only":      {func(d *fixture) { d.write("T", &capture.Event{Type: capture.Queried, Via: capture.ViaQuery}) }, reconcile.WithdrawalInTime, "queried withdrawn"},
		"call under way": {func(d *fixture) { d.write("T", attempt(d)) }, reconcile.WithdrawalInDoubt, "attempted withdrawn"},
		"call lost": {func(d *fixture) {
			d.write("T", attempt(d))
			time.Sleep(2 * time.Minute)
		}, reconcile.WithdrawalInDoubt, "attempted withdrawn"},
		"timeout": {func(d *fixture) { answered(d, capture.Answer{Kind: capture.AnswerUnknown, Why: "timeout"}) }, reconcile.WithdrawalInDoubt, "attempted answered withdrawn"},
		"-1000": {func(d *fixture) { answered(d, capture.Answer{Kind: capture.AnswerUnknown, Code: capture.CodeInternal}) },
			reconcile.WithdrawalInDoubt, "attempted answered withdrawn"},
		"refused": {func(d *fixture) {
			answered(d, capture.Answer{Kind: capture.AnswerRefused, Code: capture.CodeAmountExceeded})
		},
			reconcile.WithdrawalInTime, "attempted answered withdrawn"},
		"never sent": {func(d *fixture) { answered(d, capture.Answer{Kind: capture.AnswerNotSent}) }, reconcile.WithdrawalInTime, "attempted answered withdrawn"},
		"captured": {func(d *fixture) {
			d.write("T", attempt(d))
			d.write("T", &capture.Event{Type: capture.Captured, Call: 1, Via: capture.ViaCapture, Answer: &paid, Amount: "24.90", Currency: "EUR"})
		}, reconcile.WithdrawalTooLate, "attempted captured"},
		"failed": {func(d *fixture) { d.fail(d.job("T"), capture.ReasonAmountExceeded) }, reconcile.WithdrawalInTime, "failed withdrawn"},
		"failed, notified paid": {func(d *fixture) {
			d.fail(d.job("T"), capture.ReasonAmountExceeded)
			d.write("T", &capture.Event{Type: capture.Notified, Notification: &capture.Notification{Type: "payment", State: capture.OrderPaid}})
		}, reconcile.WithdrawalInDoubt, "failed notified withdrawn"},
		"parked": {func(d *fixture) { d.park("T", d.job("T")) }, reconcile.WithdrawalParked, "parked withdrawn"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFixture(t)
				tt.before(d)
				request := reconcile.WithdrawalRequest{TradeID: "T", By: "ann", Note: "returned"}
				w, err := d.recorder.Withdraw(t.Context(), request)
				if err != nil || w.Result != tt.want || w.Repeated {
					t.Errorf("%s, repeated %t, %v, want %s", w.Result, w.Repeated, err, tt.want)
				}
				again, err := d.recorder.Withdraw(t.Context(), request)
				if err != nil || again.Result != tt.want || again.Repeated == (tt.want == reconcile.WithdrawalTooLate) {
					t.Errorf("again: %s, repeated %t, %v, want %s", again.Result, again.Repeated, err, tt.want)
				}
				if got := d.types("T"); got != tt.events {
					t.Errorf("the ledger has %s, want %s", got, tt.events)
				}
			})
		})
	}
}

// A withdrawal that names a trade and an order is refused if the trade is known to
// be of another order.
func TestWithdrawOfAnotherOrder(t *testing.T) {
	t.Parallel()
	d := newFixture(t, "T1") // of order A-T1
	_, err := d.recorder.Withdraw(t.Context(), reconcile.WithdrawalRequest{TradeID: "T1", OrderID: "A-2", By: "ann", Note: "returned"})
	if !errors.Is(err, reconcile.ErrOtherOrder) || d.types("T1") != "parked" {
		t.Errorf("%v, the ledger has %s, want nothing written", err, d.types("T1"))
	}
	w, err := d.recorder.Withdraw(t.Context(), reconcile.WithdrawalRequest{TradeID: "T1", OrderID: "A-T1", By: "ann", Note: "returned"})
	if err != nil || w.Result != reconcile.WithdrawalParked {
		t.Errorf("%s, %v, want that it is withdrawn", w.Result, err)
	}
}

// A request that comes again, because its message was not acked, does not withdraw a
// trade that an operator has retried since.
func TestWithdrawDoesNotUndoARetry(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	d.fail(d.job("T"), capture.ReasonAmountExceeded)
	request := reconcile.WithdrawalRequest{ID: "w1", TradeID: "T", By: "shop", Note: "returned"}
	if _, err := d.recorder.Withdraw(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	d.write("T", &capture.Event{Type: capture.Retried, By: "ann", Note: "by mistake"})
	w, err := d.recorder.Withdraw(t.Context(), request)
	if err != nil || !w.Repeated || w.Result != reconcile.WithdrawalRetried || d.types("T") != "failed withdrawn retried" {
		t.Errorf("%s, repeated %t, %v, the ledger has %s", w.Result, w.Repeated, err, d.types("T"))
	}
	request.ID = "w2"
	if w, err := d.recorder.Withdraw(t.Context(), request); err != nil || w.Repeated || d.types("T") != "failed withdrawn retried withdrawn" {
		t.Errorf("another request: repeated %t, %v, the ledger has %s", w.Repeated, err, d.types("T"))
	}
}

// A first call that is announced between the read and the append wins, and the
// withdrawal knows of it.
func TestWithdrawAgainstAFirstCall(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	job := d.job("T")
	withdrawer := *d.recorder
	raced := false
	withdrawer.Ledger = ledgertest.Faulty{Ledger: d.book, Before: func(c ledgertest.Call) error {
		if c.Op == ledgertest.OpAppend && !raced {
			raced = true
			d.write("T", &capture.Event{Type: capture.Attempted, Job: &job, Attempt: 1, Call: 1, RequestID: "0123456789012345678901234", LeaseUntil: time.Now().Add(time.Minute)})
		}
		return nil
	}}
	w, err := withdrawer.Withdraw(t.Context(), reconcile.WithdrawalRequest{TradeID: "T", By: "ann", Note: "returned"})
	if err != nil || w.Result != reconcile.WithdrawalInDoubt || d.types("T") != "attempted withdrawn" {
		t.Errorf("%s, %v, the ledger has %s, want that the call is known", w.Result, err, d.types("T"))
	}
}
