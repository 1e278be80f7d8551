package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
)

// These tests hold the ledgers to the contract under concurrent clients: there
// must be an order in which the calls, taken one at a time, give every answer
// that was given. See the model for what each method may answer.

const linearTrades = 2

// contention lets each ledger be called by a client of its own, calls times
// each, and returns what they were told. reader looks last.
func contention(t *testing.T, books []ledger.Ledger, calls int, reader ledger.Ledger) *history {
	t.Helper()
	h := newHistory()
	var wg sync.WaitGroup
	for n, book := range books {
		c := newClient(t, n, book, h)
		wg.Go(func() {
			for range calls {
				c.act(fmt.Sprintf("t%d", c.dice.IntN(linearTrades)))
			}
		})
	}
	wg.Wait()
	h.lookLast(t, reader, len(books))
	return h
}

// lookLast reads every trade once more, and finds every event's place.
func (h *history) lookLast(t *testing.T, reader ledger.Ledger, number int) {
	t.Helper()
	c := newClient(t, number, reader, h)
	var end uint64
	for n := range linearTrades {
		trade := fmt.Sprintf("t%d", n)
		c.read(callLatest, trade)
		end = max(end, c.right(trade))
	}
	ctx, cancel := context.WithTimeout(t.Context(), processtest.Patience)
	defer cancel()
	for entry, err := range reader.Watch(ctx, 1) {
		if err != nil {
			t.Fatalf("looking last: %v", err)
		}
		h.seen[entry.Event.ID] = entry.Seq
		if entry.Seq >= end {
			return
		}
	}
	t.Fatalf("looking last did not come to sequence %d", end)
}

func (h *history) mustHold(t *testing.T) {
	t.Helper()
	t.Logf("%d calls, appends: %v", len(h.ops), h.fate)
	if h.fate["stored"] == 0 || h.fate["conflict"] == 0 {
		t.Errorf("the clients did not contend: %v", h.fate)
	}
	if h.check(t) == porcupine.Illegal {
		t.Error("no order of the calls explains what the clients were told")
	}
}

func repeat(book ledger.Ledger, n int) []ledger.Ledger {
	books := make([]ledger.Ledger, n)
	for i := range books {
		books[i] = book
	}
	return books
}

func TestMemoryIsLinearizable(t *testing.T) {
	t.Parallel()
	book := &ledger.Memory{}
	contention(t, repeat(book, 5), 150, book).mustHold(t)
}

// TestJetStreamIsLinearizable: the clients' lines stall now and then for longer
// than an append is tried, so that some end uncertain and arrive late.
func TestJetStreamIsLinearizable(t *testing.T) {
	bothWays(t, linearizable)
}

func linearizable(t *testing.T, open opener) {
	url := server(t).URL()
	direct := connect(t, url)
	ensure(t, direct, ledger.StreamConfig{})
	impatient := ledger.Options{Timeout: 60 * time.Millisecond, Bound: 150 * time.Millisecond}
	var books []ledger.Ledger
	for n := range 5 {
		p := startProxy(t, url)
		books = append(books, open(connect(t, p.url), impatient))
		p.lose(stalling(n), nil)
	}
	h := contention(t, books, 80, ledger.NewJetStream(direct, patient))
	h.mustHold(t)
	if h.fate["uncertain"] == 0 {
		t.Errorf("no append was uncertain: %v", h.fate)
	}
}

// stalling holds one piece of traffic in thirty back for a while.
func stalling(seed int) func(string) deed {
	dice := rand.New(rand.NewPCG(uint64(seed), 3))
	return func(string) deed {
		if dice.IntN(30) == 0 {
			time.Sleep(time.Duration(50+dice.IntN(250)) * time.Millisecond)
		}
		return pass
	}
}

// TestReplicatedJetStreamIsLinearizable: the leader steps down again and again.
func TestReplicatedJetStreamIsLinearizable(t *testing.T) {
	bothWays(t, linearizableReplicated)
}

func linearizableReplicated(t *testing.T, open opener) {
	c := cluster(t)
	js := connect(t, c.URL())
	ensure(t, js, ledger.StreamConfig{Replicas: 3})
	impatient := ledger.Options{Timeout: 60 * time.Millisecond, Bound: 120 * time.Millisecond}
	var books []ledger.Ledger
	for n := range 5 {
		books = append(books, open(connect(t, c.Servers[n%3].URL()), impatient))
	}
	over := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(300 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
				// One that fails finds no leader: there is an election already.
				_, _ = js.Conn().Request("$JS.API.STREAM.LEADER.STEPDOWN.CAPTURES", nil, 2*time.Second)
			}
		}
	})
	t.Cleanup(wg.Wait)
	h := contention(t, books, 100, ledger.NewJetStream(js, patient))
	close(over)
	h.mustHold(t)
}

// broken is a ledger that breaks the contract once in a while.
type broken struct {
	ledger.Ledger
	breaks string
	calls  *atomic.Int64
}

func (b broken) turn() bool { return b.calls.Add(1)%5 == 0 }

func (b broken) Append(ctx context.Context, e capture.Event, after uint64, opts ...ledger.AppendOption) (uint64, error) {
	switch {
	case b.breaks == "no guard":
		now, err := b.LoadLatest(ctx, e.TradeID)
		if err != nil {
			return 0, err
		}
		after = now.Seq
	case b.breaks == "a lost event" && b.turn():
		return after + 1, nil
	case b.breaks == "stored, told as a conflict" && b.turn():
		if _, err := b.Ledger.Append(ctx, e, after, opts...); err != nil {
			return 0, err
		}
		return 0, &ledger.ConflictError{TradeID: e.TradeID, After: after}
	case b.breaks == "stored, told as not stored" && b.turn():
		if _, err := b.Ledger.Append(ctx, e, after, opts...); err != nil {
			return 0, err
		}
		return 0, errors.New("refused")
	}
	return b.Ledger.Append(ctx, e, after, opts...)
}

func (b broken) Load(ctx context.Context, trade string) (ledger.Trade, error) {
	got, err := b.Ledger.Load(ctx, trade)
	if b.breaks == "a load with a gap" && len(got.Events) > 2 && b.turn() {
		got.Events = got.Events[1:]
	}
	return got, err
}

func (b broken) LoadLatest(ctx context.Context, trade string) (ledger.Trade, error) {
	got, err := b.Ledger.LoadLatest(ctx, trade)
	if b.breaks == "a stale last load" && len(got.Events) > 2 && b.turn() {
		got.Events = got.Events[:len(got.Events)-1]
		last, _, _ := b.Ledger.Last(ctx, trade)
		got.Seq = last.Seq - 1
	}
	return got, err
}

// TestBrokenLedgersAreFound is the test of the tests above.
func TestBrokenLedgersAreFound(t *testing.T) {
	t.Parallel()
	for _, breaks := range []string{
		"no guard", "a lost event", "stored, told as a conflict", "stored, told as not stored",
		"a load with a gap", "a stale last load",
	} {
		t.Run(breaks, func(t *testing.T) {
			t.Parallel()
			memory := &ledger.Memory{}
			book := broken{Ledger: memory, breaks: breaks, calls: &atomic.Int64{}}
			h := contention(t, repeat(book, 4), 60, memory)
			if got := h.check(t); got != porcupine.Illegal {
				t.Errorf("the check says %s, want %s", got, porcupine.Illegal)
			}
		})
	}
}
