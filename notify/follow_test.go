package notify_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/notify"
)

// failedThenPaid is a trade that failed, and of which a notification says paid
// that an earlier process has kept.
func (w *world) failedThenPaid(trade string) {
	w.t.Helper()
	w.announced(trade, time.Now())
	w.ended(trade, capture.Failed, capture.ReasonTradeIncorrect)
	time.Sleep(time.Second)
	w.append(trade, capture.Event{Type: capture.Notified, Notification: &capture.Notification{State: capture.OrderPaid, Amount: sum}})
}

// notified is a source of these trades, each found once.
func notified(trades ...string) notify.Source {
	return func(_ context.Context, t capture.EventType, after uint64) ([]string, uint64, error) {
		if t != capture.Notified || after > 0 {
			return nil, after, nil
		}
		return trades, 1, nil
	}
}

// followed follows the trades for so long.
func (w *world) followed(d time.Duration, trades ...string) {
	ctx, cancel := context.WithTimeout(w.t.Context(), d)
	defer cancel()
	w.handler.Follow(ctx, notified(trades...))
	w.close()
}

func (w *world) outcome(trade string) capture.Event {
	w.t.Helper()
	opened, err := w.recorder.Open(w.t.Context(), trade)
	if err != nil || opened.State.Outcome == nil {
		w.t.Fatalf("no outcome of %s, %v", trade, err)
	}
	return *opened.State.Outcome
}

// A failed trade that a notification calls paid is asked about without a job and
// without a listener that remembers it: until the gateway agrees, or an hour.
func TestFailedTradeThatIsNotifiedAsPaid(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		says    capture.OrderState // Order Query, for half an hour
		then    capture.OrderState
		outcome capture.EventType
		reason  string
		from    time.Duration // since the notification
	}{
		"paid after all":       {capture.OrderAuthorized, capture.OrderPaid, capture.Captured, "", 30 * time.Minute},
		"still authorized":     {capture.OrderAuthorized, capture.OrderAuthorized, capture.Parked, capture.ReasonNotifiedPaid, time.Hour},
		"a dead order":         {capture.OrderExpired, capture.OrderExpired, capture.Parked, capture.ReasonNotifiedPaid, time.Hour},
		"processing and never": {capture.OrderProcessing, capture.OrderProcessing, capture.Parked, capture.ReasonNotifiedPaid, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				w.says(tt.says)
				w.failedThenPaid("T1")
				begin := time.Now()
				time.AfterFunc(30*time.Minute, func() { w.says(tt.then) })
				w.followed(2*time.Hour, "T1")
				end := w.outcome("T1")
				if end.Type != tt.outcome || end.Reason != tt.reason || end.Corrects == "" {
					t.Errorf("ended as %s (%s), correcting %q", end.Type, end.Reason, end.Corrects)
				}
				if after := end.Time.Sub(begin); after < tt.from || after > tt.from+5*time.Minute {
					t.Errorf("ended after %s, want %s", after, tt.from)
				}
				if n := w.queries.Load(); n < 10 || n > 200 {
					t.Errorf("asked %d times", n)
				}
			})
		})
	}
}

// Another process continues where one was stopped, by the ledger alone.
func TestFollowingSurvivesARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first := newWorld(t, nil)
		first.says(capture.OrderAuthorized)
		first.failedThenPaid("T1")
		begin := time.Now()
		first.followed(20*time.Minute, "T1")
		if got := first.outcome("T1"); got.Type != capture.Failed || first.queries.Load() == 0 {
			t.Fatalf("it is %s after %d queries", got.Type, first.queries.Load())
		}
		second := newWorld(t, func(_ *notify.Config, w *world) { w.ledger = first.ledger })
		second.says(capture.OrderAuthorized)
		second.followed(time.Hour, "T1")
		end := second.outcome("T1")
		if after := end.Time.Sub(begin); end.Reason != capture.ReasonNotifiedPaid || after < time.Hour || after > 65*time.Minute {
			t.Errorf("ended as %s (%s) after %s", end.Type, end.Reason, after)
		}
	})
}

// Only failed trades are followed: the others have jobs, or an outcome that a
// notification does not touch.
func TestFollowingLeavesOtherTradesAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		says := func(s capture.OrderState) capture.Event {
			return capture.Event{Type: capture.Notified, Notification: &capture.Notification{State: s, Amount: sum}}
		}
		w.announced("open", time.Now())
		w.append("open", says(capture.OrderPaid))
		w.announced("captured", time.Now())
		w.ended("captured", capture.Captured, "")
		w.append("captured", says(capture.OrderVerify))
		w.announced("failed", time.Now())
		w.ended("failed", capture.Failed, capture.ReasonTradeIncorrect)
		w.append("failed", says(capture.OrderExpired))
		w.followed(time.Hour, "open", "captured", "failed", "unknown")
		if n := w.queries.Load(); n != 0 {
			t.Errorf("asked %d times", n)
		}
	})
}

// A notified failed trade is not given up while the gateway is not to be called.
func TestFollowingOutlastsAPausedGateway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.shut.Store(true)
		w.failedThenPaid("T1")
		time.AfterFunc(6*time.Hour, func() { w.shut.Store(false) })
		w.followed(7*time.Hour, "T1")
		if end := w.outcome("T1"); end.Type != capture.Captured {
			t.Errorf("it is %s (%s)", end.Type, end.Reason)
		}
	})
}
