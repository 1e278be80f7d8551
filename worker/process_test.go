package worker_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/reconcile"
	"github.com/capture-worker/capture-worker/worker"
)

const job = `{"trade_id":"T1","amount":"24.99","currency":"EUR","order_id":"A-1001","authorized_at":"2000-01-01T00:00:00Z"}`

// Time in a bubble begins on 1 January 2000, when the job was authorized.
func TestJobsWay(t *testing.T) {
	t.Parallel()
	const a, n, q, c = capture.Attempted, capture.Answered, capture.Queried, capture.Captured
	cases := []struct {
		name   string
		script []string
		events []capture.EventType
		calls  int
		ids    int
	}{
		{"at once", nil, []capture.EventType{a, c}, 1, 1},
		{"-1000 without effect", []string{"-1000 before"}, []capture.EventType{a, n, q, a, c}, 2, 1},
		{"-1000 after the effect", []string{"-1000 after"}, []capture.EventType{a, n, c}, 1, 1},
		{"timeout after the effect", []string{"timeout after"}, []capture.EventType{a, n, c}, 1, 1},
		{"not sent", []string{"not sent"}, []capture.EventType{a, n, q, a, c}, 2, 1},
		{"our fault", []string{"fault"}, []capture.EventType{a, n, q, a, c}, 2, 1},
		{"refused, and explained", []string{"-4084"}, []capture.EventType{a, n, capture.Failed}, 1, 1},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.gateway.script = tc.script
				if d := w.redeliver(w.processor("w1"), job, true); d.Do != worker.Ack {
					t.Errorf("the job ended with %+v, want an ack", d)
				}
				if got := w.types("T1"); !slices.Equal(got, tc.events) {
					t.Errorf("events %v, want %v", got, tc.events)
				}
				calls := w.gateway.captures["T1"]
				if len(calls) != tc.calls || w.minted != tc.ids {
					t.Errorf("%d capture calls with %d request_ids, want %d with %d", len(calls), w.minted, tc.calls, tc.ids)
				}
			})
		})
	}
}

// A lost answer: the same request goes out again, but only after the settle
// time and two agreeing queries.
func TestLostAnswerWaitsForQuiet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.gateway.script = []string{"timeout before"}
		begin := time.Now()
		w.redeliver(w.processor("w1"), job, true)
		if waited := time.Since(begin); waited < policy.Settle+policy.Spacing {
			t.Errorf("called again after %s, before the settle time and the spacing were over", waited)
		}
		calls := w.gateway.captures["T1"]
		for i := range calls {
			calls[i].Until = time.Time{} // each call has a lease of its own
		}
		if len(calls) != 2 || calls[0] != calls[1] {
			t.Errorf("calls %+v, want the same request twice", calls)
		}
	})
}

func TestNewRequestIDAfterThreeErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.gateway.script = []string{"-1000 before", "-1000 before", "-1000 before"}
		w.redeliver(w.processor("w1"), job, true)
		var ids []string
		for _, call := range w.gateway.captures["T1"] {
			ids = append(ids, call.RequestID)
		}
		if len(ids) != 4 || ids[0] != ids[1] || ids[1] != ids[2] || ids[2] == ids[3] {
			t.Errorf("request_ids %v, want three alike and a new one", ids)
		}
	})
}

// Two workers, two messages for one trade, at the same moment: one call.
func TestManyWorkersOneCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.gateway.slow = 2 * time.Second
		var workers sync.WaitGroup
		for _, name := range []string{"w1", "w2", "w3", "w4"} {
			p := w.processor(name)
			workers.Go(func() {
				if d := w.redeliver(p, job, true); d.Do != worker.Ack {
					t.Errorf("%s: %+v, want an ack", name, d)
				}
			})
		}
		workers.Wait()
		if n := len(w.gateway.captures["T1"]); n != 1 {
			t.Errorf("%d capture calls, want one", n)
		}
	})
}

func TestSecondJob(t *testing.T) {
	t.Parallel()
	other := strings.Replace(job, "24.99", "20.00", 1)
	t.Run("of a captured trade", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			p := w.processor("w1")
			w.redeliver(p, job, true)
			if d := w.redeliver(p, job, true); d.Do != worker.Ack {
				t.Errorf("the same ask: %+v, want an ack", d)
			}
			d := w.redeliver(p, other, true)
			if d.Do != worker.DeadLetter || d.Reason != deadletter.ReasonConflict || !strings.Contains(d.Detail, "24.99 EUR") {
				t.Errorf("another ask: %+v, want a dead letter that names the standing outcome", d)
			}
			if n := len(w.gateway.captures["T1"]); n != 1 {
				t.Errorf("%d capture calls, want one", n)
			}
		})
	})
	t.Run("corrects a failed trade", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.gateway.script = []string{"-4084"}
			p := w.processor("w1")
			w.redeliver(p, job, true)
			if d := w.redeliver(p, other, true); d.Do != worker.Ack {
				t.Errorf("%+v, want an ack", d)
			}
			want := []capture.EventType{capture.Attempted, capture.Answered, capture.Failed, capture.Queried, capture.Attempted, capture.Captured}
			if got := w.types("T1"); !slices.Equal(got, want) {
				t.Errorf("events %v, want %v", got, want)
			}
			if got := w.gateway.effects["T1"].String(); got != "20.00 EUR" {
				t.Errorf("captured %s", got)
			}
		})
	})
}

// A job whose window is over, and whose trade has ended, is acknowledged when it
// comes again: nothing is asked, and nothing written.
func TestALateJobOfAnEndedTradeIsAcknowledged(t *testing.T) {
	t.Parallel()
	late := strings.Replace(job, "}", `,"capture_before":"2000-01-01T01:00:00Z"}`, 1)
	for _, c := range []struct {
		name  string
		first time.Duration // when the job comes first
		want  capture.Phase
	}{{"failed", 2 * time.Hour, capture.PhaseFailed}, {"captured", 0, capture.PhaseCaptured}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				p := w.processor("w1")
				time.Sleep(c.first)
				w.redeliver(p, late, true)
				time.Sleep(2 * time.Hour)
				events, queries := w.events("T1"), w.gateway.queries
				if got := capture.Fold(events).Phase; got != c.want {
					t.Fatalf("the trade is %s, want %s", got, c.want)
				}
				if d := w.redeliver(p, late, true); d.Do != worker.Ack {
					t.Errorf("%+v, want an ack", d)
				}
				if after := w.types("T1"); len(after) != len(events) || w.gateway.queries != queries {
					t.Errorf("%d queries more, the events are %v", w.gateway.queries-queries, after)
				}
			})
		})
	}
}

func TestMalformedJobIsDeadLettered(t *testing.T) {
	t.Parallel()
	p := newWorld(t).processor("w1")
	d := p.Process(t.Context(), t.Context(), worker.Delivery{Body: []byte(`{"trade_id":"T.1"}`), First: true})
	if d.Do != worker.DeadLetter || d.Reason == "" || d.Detail == "" {
		t.Errorf("%+v, want a dead letter with a reason", d)
	}
}

// A worker that stops makes no new call and no job wait.
func TestStopRequeues(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.gateway.script = []string{"-1000 before"}
		stop, cancel := context.WithCancel(t.Context())
		begin := time.Now()
		time.AfterFunc(100*time.Millisecond, cancel)
		d := w.processor("w1").Process(t.Context(), stop, worker.Delivery{Body: []byte(job), First: true})
		if d.Do != worker.Retry || time.Since(begin) > 100*time.Millisecond {
			t.Errorf("%+v after %s, want the job back at once", d, time.Since(begin))
		}
		d = w.processor("w2").Process(t.Context(), stop, worker.Delivery{Body: []byte(strings.Replace(job, "T1", "T2", 1)), First: true})
		if d.Do != worker.Retry || len(w.gateway.captures["T2"]) != 0 || len(w.types("T2")) != 0 {
			t.Errorf("a stopping worker began a trade: %+v", d)
		}
	})
}

// A job whose order is withdrawn is not called for, though its trade is not in the
// ledger: failed as withdrawn, and acked. What an operator retried is called for.
func TestAWithdrawnOrderIsNotCalledFor(t *testing.T) {
	t.Parallel()
	const wd, f, r, q, a, c = capture.Withdrawn, capture.Failed, capture.Retried, capture.Queried, capture.Attempted, capture.Captured
	for name, first := range map[string]bool{"first delivery": true, "redelivered": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				p := w.processor("w1")
				p.Withdrawn = func(order string) (reconcile.WithdrawalRequest, bool) {
					return reconcile.WithdrawalRequest{ID: "w1", OrderID: order, By: "ann", Note: "returned"}, order == "A-1001"
				}
				if d := w.redeliver(p, job, first); d.Do != worker.Ack {
					t.Errorf("the job ended with %+v, want an ack", d)
				}
				if got := w.types("T1"); !slices.Equal(got, []capture.EventType{wd, f}) || len(w.gateway.captures["T1"]) > 0 {
					t.Errorf("events %v, %d calls", got, len(w.gateway.captures["T1"]))
				}
				if e := w.events("T1"); e[0].By != "ann" || e[0].OrderID != "A-1001" || e[1].Reason != capture.ReasonWithdrawn {
					t.Errorf("events %+v", e)
				}
				if d := w.redeliver(p, strings.Replace(job, "24.99", "20.00", 1), true); d.Do != worker.DeadLetter || d.Reason != deadletter.ReasonWithdrawn {
					t.Errorf("a job with another amount ended with %+v, want a dead letter", d)
				}
				trade, err := p.Recorder.Reopen(t.Context(), "T1")
				if err == nil {
					_, err = p.Recorder.Record(t.Context(), trade, &capture.Event{Type: r, By: "ann", Note: "it was not returned"})
				}
				if err != nil {
					t.Fatal(err)
				}
				if d := w.redeliver(p, job, false); d.Do != worker.Ack {
					t.Errorf("the retried job ended with %+v, want an ack", d)
				}
				if got := w.types("T1"); !slices.Equal(got, []capture.EventType{wd, f, r, q, a, c}) {
					t.Errorf("events %v, want that it is captured", got)
				}
			})
		})
	}
}

// A description that the ledger does not keep goes to the gateway all the same,
// with every call, also of a worker that knows the trade from the ledger alone.
func TestAnOmittedDescriptionIsStillSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.gateway.script = []string{"-1000 before", "timeout before"}
		described := strings.Replace(job, `"order_id"`, `"description":"a gift for Ann","order_id"`, 1)
		p := w.processor("w1")
		p.Recorder.OmitDescription = true
		w.redeliver(p, described, true)
		calls := w.gateway.captures["T1"]
		if len(calls) != 3 {
			t.Errorf("%d calls, want 3", len(calls))
		}
		for i, call := range calls {
			if call.Description != "a gift for Ann" {
				t.Errorf("call %d has the description %q", i+1, call.Description)
			}
		}
		for _, e := range w.events("T1") {
			if e.Job != nil && e.Job.Description != "" {
				t.Errorf("event %s keeps the description %q", e.Type, e.Job.Description)
			}
		}
	})
}
