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

// These tests check that the ledgers are linearizable: there must be an order of
// the calls of concurrent clients in which the model gives the same results.

const linearTrades = 2

// contention runs a client with the given number of calls for each ledger, and
// returns the history. At the end, all trades are read with reader.
func contention(t *testing.T, ledgers []ledger.Ledger, calls int, reader ledger.Ledger) *history {
	t.Helper()
	h := newHistory()
	var wg sync.WaitGroup
	for n, l := range ledgers {
		c := newClient(t, n, l, h)
		wg.Go(func() {
			for range calls {
				c.act(fmt.Sprintf("t%d", c.dice.IntN(linearTrades)))
			}
		})
	}
	wg.Wait()
	h.readAll(t, reader, len(ledgers))
	return h
}

// readAll reads every trade at the end, and the sequence of every event.
func (h *history) readAll(t *testing.T, reader ledger.Ledger, number int) {
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
			t.Fatalf("reading all events: %v", err)
		}
		h.seen[entry.Event.ID] = entry.Seq
		if entry.Seq >= end {
			return
		}
	}
	t.Fatalf("reading all events did not reach sequence %d", end)
}

func (h *history) mustHold(t *testing.T) {
	t.Helper()
	t.Logf("%d calls, appends: %v", len(h.ops), h.fate)
	if h.fate["stored"] == 0 || h.fate["conflict"] == 0 {
		t.Errorf("no contention between the clients: %v", h.fate)
	}
	if h.check(t) == porcupine.Illegal {
		t.Error("no order of the calls explains their results")
	}
}

func repeat(l ledger.Ledger, n int) []ledger.Ledger {
	ledgers := make([]ledger.Ledger, n)
	for i := range ledgers {
		ledgers[i] = l
	}
	return ledgers
}

func TestMemoryIsLinearizable(t *testing.T) {
	t.Parallel()
	l := &ledger.Memory{}
	contention(t, repeat(l, 5), 150, l).mustHold(t)
}

// TestJetStreamIsLinearizable uses connections that stall at times for longer than
// the limit of an append, so that some appends are uncertain and arrive late.
func TestJetStreamIsLinearizable(t *testing.T) {
	bothWays(t, linearizable)
}

func linearizable(t *testing.T, open opener) {
	url := server(t).URL()
	direct := connect(t, url)
	ensure(t, direct, ledger.StreamConfig{})
	impatient := ledger.Options{Timeout: 60 * time.Millisecond, Bound: 150 * time.Millisecond}
	var ledgers []ledger.Ledger
	for n := range 5 {
		p := processtest.StartProxy(t, url)
		ledgers = append(ledgers, open(connect(t, p.URL), impatient))
		p.Lose(stalling(n), nil)
	}
	h := contention(t, ledgers, 80, ledger.NewJetStream(direct, patient))
	h.mustHold(t)
	if h.fate["uncertain"] == 0 {
		t.Errorf("no append was uncertain: %v", h.fate)
	}
}

// stalling delays one of thirty pieces of traffic.
func stalling(seed int) func(string) processtest.Action {
	dice := rand.New(rand.NewPCG(uint64(seed), 3))
	return func(string) processtest.Action {
		if dice.IntN(30) == 0 {
			time.Sleep(time.Duration(50+dice.IntN(250)) * time.Millisecond)
		}
		return processtest.Pass
	}
}

// TestReplicatedJetStreamIsLinearizable makes the leader step down repeatedly.
func TestReplicatedJetStreamIsLinearizable(t *testing.T) {
	bothWays(t, linearizableReplicated)
}

func linearizableReplicated(t *testing.T, open opener) {
	c := cluster(t)
	js := connect(t, c.URL())
	ensure(t, js, ledger.StreamConfig{Replicas: 3})
	impatient := ledger.Options{Timeout: 60 * time.Millisecond, Bound: 120 * time.Millisecond}
	var ledgers []ledger.Ledger
	for n := range 5 {
		ledgers = append(ledgers, open(connect(t, c.Servers[n%3].URL()), impatient))
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
				// An error means that there is no leader: an election is under way.
				_, _ = js.Conn().Request("$JS.API.STREAM.LEADER.STEPDOWN.CAPTURES", nil, 2*time.Second)
			}
		}
	})
	t.Cleanup(wg.Wait)
	h := contention(t, ledgers, 100, ledger.NewJetStream(js, patient))
	close(over)
	h.mustHold(t)
}

// broken is a ledger that breaks the contract in one of five calls.
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
	case b.breaks == "stored, reported as a conflict" && b.turn():
		if _, err := b.Ledger.Append(ctx, e, after, opts...); err != nil {
			return 0, err
		}
		return 0, &ledger.ConflictError{TradeID: e.TradeID, After: after}
	case b.breaks == "stored, reported as not stored" && b.turn():
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

// TestBrokenLedgersAreFound checks that the tests above find errors.
func TestBrokenLedgersAreFound(t *testing.T) {
	t.Parallel()
	for _, breaks := range []string{
		"no guard", "a lost event", "stored, reported as a conflict", "stored, reported as not stored",
		"a load with a gap", "a stale last load",
	} {
		t.Run(breaks, func(t *testing.T) {
			t.Parallel()
			memory := &ledger.Memory{}
			l := broken{Ledger: memory, breaks: breaks, calls: &atomic.Int64{}}
			h := contention(t, repeat(l, 4), 60, memory)
			if got := h.check(t); got != porcupine.Illegal {
				t.Errorf("the check returned %s, want %s", got, porcupine.Illegal)
			}
		})
	}
}
