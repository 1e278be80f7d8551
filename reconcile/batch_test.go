package reconcile_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/ledger/ledgertest"
	"github.com/capture-worker/capture-worker/reconcile"
)

// asked counts the queries of each trade and answers them.
type asked struct {
	mu     sync.Mutex
	counts map[string]int
	total  int
	answer func(tradeID string, n int) capture.Answer
}

func (a *asked) query(_ context.Context, tradeID string) capture.Answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.counts == nil {
		a.counts = map[string]int{}
	}
	a.counts[tradeID]++
	a.total++
	return a.answer(tradeID, a.counts[tradeID])
}

var silence = capture.Answer{Kind: capture.AnswerUnknown, Code: capture.CodeInternal}

// newBatch asks a, over an empty ledger, by the bubble's clock.
func newBatch(a *asked, book ledger.Ledger) *reconcile.Batch {
	recorder := newRecorder(book, "batch")
	recorder.Now = time.Now
	return &reconcile.Batch{Resolver: &reconcile.Resolver{Recorder: recorder, Query: a.query}, Concurrency: 4}
}

// trades is an input of n trades that is never held in memory.
func trades(n int) iter.Seq2[reconcile.Item, error] {
	return func(yield func(reconcile.Item, error) bool) {
		for i := range n {
			if !yield(reconcile.Item{TradeID: fmt.Sprintf("T%d", i)}, nil) {
				return
			}
		}
	}
}

func always(a capture.Answer) func(string, int) capture.Answer {
	return func(string, int) capture.Answer { return a }
}

// collect runs to the end.
func collect(t *testing.T, run iter.Seq2[reconcile.Verdict, error]) (verdicts []reconcile.Verdict, end error) {
	t.Helper()
	for v, err := range run {
		if err != nil {
			end = err
			continue
		}
		verdicts = append(verdicts, v)
	}
	return verdicts, end
}

func TestBatchKeepsTheRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBatch(&asked{answer: always(says(t, "authorized", "1.00"))}, &ledger.Memory{})
		b.Rate = 10
		begin := time.Now()
		verdicts, err := collect(t, b.Run(t.Context(), trades(101), nil))
		if err != nil || len(verdicts) != 101 {
			t.Fatalf("%d verdicts, %v", len(verdicts), err)
		}
		if took := time.Since(begin); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("101 queries at 10 a second took %s", took)
		}
	})
}

func TestBatchAsksAgainThenSaysUnknown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &asked{answer: func(id string, n int) capture.Answer {
			if id == "T0" || (id == "T1" && n < 3) {
				return silence
			}
			return says(t, "authorized", "1.00")
		}}
		verdicts, err := collect(t, newBatch(a, &ledger.Memory{}).Run(t.Context(), trades(3), nil))
		if err != nil || len(verdicts) != 3 {
			t.Fatalf("%d verdicts, %v", len(verdicts), err)
		}
		for _, v := range verdicts {
			want := map[string]reconcile.Kind{"T0": reconcile.KindUnknown}[v.TradeID]
			if want == "" {
				want = reconcile.KindNotCaptured
			}
			if tries := map[string]int{"T0": 3, "T1": 3, "T2": 1}[v.TradeID]; v.Kind != want || v.Tries != tries {
				t.Errorf("%s: %s after %d queries: %s", v.TradeID, v.Kind, v.Tries, v.Why)
			}
		}
	})
}

// An outage pauses the batch: few queries, few unknown, and then it continues.
func TestBatchPausesThroughAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		back, during := time.Now().Add(10*time.Minute), 0
		a := &asked{answer: func(string, int) capture.Answer {
			if time.Now().Before(back) {
				during++
				return silence
			}
			return says(t, "authorized", "1.00")
		}}
		verdicts, err := collect(t, newBatch(a, &ledger.Memory{}).Run(t.Context(), trades(500), nil))
		unknown := 0
		for _, v := range verdicts {
			if v.Kind == reconcile.KindUnknown {
				unknown++
			}
		}
		if err != nil || len(verdicts) != 500 || unknown > 12 || during > 40 {
			t.Errorf("%d verdicts, %d unknown, %d queries in the outage, %v", len(verdicts), unknown, during, err)
		}
	})
}

func TestBatchEndsWhereItCannotGoOn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		answer capture.Answer
		halted bool
		most   int // queries
	}{
		{"signature refused", capture.Answer{Kind: capture.AnswerRefused, Code: capture.CodeSignature}, true, 4},
		{"user refused", capture.Answer{Kind: capture.AnswerRefused, Code: capture.CodeUser}, true, 4},
		{"down for long", silence, false, 60},
		{"too many requests", capture.Answer{Kind: capture.AnswerUnknown, HTTPStatus: 429}, false, 60},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a, begin := &asked{answer: always(c.answer)}, time.Now()
				_, err := collect(t, newBatch(a, &ledger.Memory{}).Run(t.Context(), trades(1000), nil))
				_, halted := errors.AsType[*reconcile.HaltError](err)
				if halted != c.halted || errors.Is(err, reconcile.ErrGatewayDown) == c.halted || a.total > c.most {
					t.Errorf("%v after %d queries", err, a.total)
				}
				if took := time.Since(begin); took > reconcile.DefaultBatchGiveUp+2*time.Minute {
					t.Errorf("it took %s to give up", took)
				}
			})
		})
	}
}

// The caller of a batch learns of each outage when the queries begin to pause,
// and until when they pause at most.
func TestBatchTellsThatItWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		a := &asked{answer: func(string, int) capture.Answer {
			// Two outages: one of five minutes, and one that does not end.
			if past := time.Since(begin); past < 5*time.Minute || past > time.Hour {
				return silence
			}
			return says(t, "authorized", "1.00")
		}}
		b := newBatch(a, &ledger.Memory{})
		b.Rate, b.GiveUp = 1, 10*time.Minute
		var reported []time.Time // from the run's goroutines, one at a time
		b.Waiting = func(since, until time.Time) {
			if until.Sub(since) != b.GiveUp || time.Since(since) > time.Minute {
				t.Errorf("waits from %s to %s, reported at %s", since, until, time.Now())
			}
			reported = append(reported, until)
		}
		_, err := collect(t, b.Run(t.Context(), trades(5000), nil))
		if !errors.Is(err, reconcile.ErrGatewayDown) || len(reported) != 2 {
			t.Fatalf("reported %d outages, of 2: %v; the end: %v", len(reported), reported, err)
		}
		if !time.Now().Equal(reported[1]) {
			t.Errorf("ended at %s, was to end at %s", time.Now(), reported[1])
		}
	})
}

// Stopped and begun again, over JSON: nothing is missed, and at most what was
// in flight is asked twice.
func TestBatchGoesOnWhereItWasStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 300
		a := &asked{answer: func(id string, _ int) capture.Answer {
			if id == "T3" {
				return silence // a slow one, that others overtake
			}
			return says(t, "authorized", "1.00")
		}}
		b, cursor, seen := newBatch(a, &ledger.Memory{}), reconcile.Cursor{}, map[string]int{}
		b.Rate = 100
		for runs := 0; cursor.Next < n; runs++ {
			if runs > n {
				t.Fatal("it never ends")
			}
			ctx, cancel := context.WithCancel(t.Context())
			left := 40
			for v, err := range b.Run(ctx, trades(n), &cursor) {
				if err != nil {
					break
				}
				seen[v.TradeID]++
				cursor.Done(v)
				if left--; left == 0 {
					cancel()
				}
			}
			cancel()
			kept, err := json.Marshal(cursor)
			if err != nil || len(kept) > 2000 {
				t.Fatalf("the cursor has %d bytes, %v", len(kept), err)
			}
			cursor = reconcile.Cursor{}
			if err := json.Unmarshal(kept, &cursor); err != nil {
				t.Fatal(err)
			}
		}
		twice := 0
		for i := range n {
			id := fmt.Sprintf("T%d", i)
			if seen[id] != 1 {
				t.Errorf("%s has %d verdicts", id, seen[id])
			}
			if id != "T3" {
				twice += a.counts[id] - 1
			}
		}
		if most := b.Concurrency * (n/40 + 1); twice > most {
			t.Errorf("%d were asked twice, at most %d were in flight", twice, most)
		}
	})
}

func TestBatchRefusesAnotherInput(t *testing.T) {
	t.Parallel()
	a := &asked{answer: always(says(t, "authorized", "1.00"))}
	for name, cursor := range map[string]reconcile.Cursor{
		"another trade before the next": {Next: 2, Last: "X"},
		"another trade ahead":           {Next: 1, Last: "T0", Ahead: map[int64]string{2: "X"}},
		"a shorter input":               {Next: 9, Last: "T8"},
	} {
		if _, err := collect(t, newBatch(a, &ledger.Memory{}).Run(t.Context(), trades(4), &cursor)); !errors.Is(err, reconcile.ErrInputChanged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := func(yield func(reconcile.Item, error) bool) {
		_ = yield(reconcile.Item{TradeID: "T0"}, nil) && yield(reconcile.Item{}, errors.New("row 2 is broken"))
	}
	verdicts, err := collect(t, newBatch(a, &ledger.Memory{}).Run(t.Context(), broken, nil))
	if len(verdicts) != 1 || err == nil {
		t.Errorf("a broken input: %d verdicts, %v; want the one before it, and the error", len(verdicts), err)
	}
}

func TestBatchBreaksOff(t *testing.T) {
	t.Parallel()
	a := &asked{answer: always(says(t, "authorized", "1.00"))}
	for range newBatch(a, &ledger.Memory{}).Run(t.Context(), trades(1_000_000), nil) {
		break
	}
	if a.total > 200 {
		t.Errorf("%d queries for one verdict", a.total)
	}
}

// Only outcomes are written, and only where they are to be.
func TestBatchWritesOutcomes(t *testing.T) {
	t.Parallel()
	for _, write := range []bool{false, true} {
		book := &ledger.Memory{}
		recorder := newRecorder(book, "mine")
		announce(t, recorder)
		a := &asked{answer: always(paid(t))}
		b := newBatch(a, book)
		b.UpdateKnown = write
		b.Resolver.Recorder.Now = recorder.Now
		verdicts, err := collect(t, b.Run(t.Context(), reconcile.Items(reconcile.Item{TradeID: "T1"}), nil))
		if err != nil || len(verdicts) != 1 {
			t.Fatal(verdicts, err)
		}
		v, after := verdicts[0], mustOpen(t, recorder)
		if v.Kind != reconcile.KindNotInLedger || v.Event == nil || v.Written != write || (after.State.Phase == capture.PhaseCaptured) != write {
			t.Errorf("write %t: %+v; the ledger says %s", write, v, after.State.Phase)
		}
		a.answer = always(says(t, "authorized", "24.99"))
		if _, err := collect(t, b.Run(t.Context(), reconcile.Items(reconcile.Item{TradeID: "T1"}), nil)); err != nil || mustOpen(t, recorder).State.Events != after.State.Events {
			t.Errorf("write %t: evidence was written, %v", write, err)
		}
	}
}

func TestBatchSelectsByTheLedger(t *testing.T) {
	t.Parallel()
	a := &asked{answer: always(paid(t))}
	b := newBatch(a, &ledger.Memory{})
	b.Select = func(i reconcile.Item, _ capture.State) bool { return i.TradeID == "T1" }
	verdicts, err := collect(t, b.Run(t.Context(), trades(3), nil))
	if err != nil || len(verdicts) != 3 || a.total != 1 {
		t.Errorf("%d verdicts, %d queries, %v", len(verdicts), a.total, err)
	}
}

func TestBatchTellsTroubleOfTheLedger(t *testing.T) {
	t.Parallel()
	book := ledgertest.Faulty{Ledger: &ledger.Memory{}, Before: func(c ledgertest.Call) error {
		return errors.New("the disk is on fire")
	}}
	verdicts, err := collect(t, newBatch(&asked{answer: always(paid(t))}, book).Run(t.Context(), trades(1), nil))
	if err != nil || len(verdicts) != 1 || verdicts[0].Kind != reconcile.KindUnknown || verdicts[0].Err == nil {
		t.Errorf("%+v, %v", verdicts, err)
	}
}

// blank is a ledger that holds nothing, so that only the batch's own memory
// is measured.
type blank struct{ ledger.Ledger }

func (blank) Load(_ context.Context, id string) (ledger.Trade, error) {
	return ledger.Trade{ID: id}, nil
}

func (blank) LoadLatest(_ context.Context, id string) (ledger.Trade, error) {
	return ledger.Trade{ID: id}, nil
}

func TestBatchOfManyInConstantMemory(t *testing.T) {
	answer := says(t, "authorized", "1.00")
	recorder := newRecorder(blank{}, "batch")
	b := reconcile.Batch{Resolver: &reconcile.Resolver{
		Recorder: recorder, Query: func(context.Context, string) capture.Answer { return answer },
	}}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, most, n := heap(), uint64(0), 0
	var cursor reconcile.Cursor
	for v, err := range b.Run(t.Context(), trades(100_000), &cursor) {
		if err != nil {
			t.Fatal(err)
		}
		cursor.Done(v)
		if n++; n%20_000 == 0 {
			most = max(most, heap())
		}
	}
	if n != 100_000 || cursor.Next != 100_000 || len(cursor.Ahead) != 0 {
		t.Fatalf("%d verdicts, the cursor is at %d", n, cursor.Next)
	}
	if most > before+4<<20 {
		t.Errorf("the heap grew from %d to %d bytes", before, most)
	}
}
