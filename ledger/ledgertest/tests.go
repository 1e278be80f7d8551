package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
)

// oneWins checks that of several writers that append after the same event exactly
// one succeeds in each round, and the others get ErrConflict. In each round exactly
// one succeeds, and the others get ErrConflict.
func oneWins(t *testing.T, s *suite) {
	const writers, rounds = 8, 25
	trade := s.trade()
	var seq uint64
	for round := range rounds {
		var wins atomic.Int32
		var won atomic.Uint64
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				e := Event(trade, capture.Queried, round*writers+w)
				switch got, err := s.Append(t.Context(), e, seq); {
				case err == nil:
					wins.Add(1)
					won.Store(got)
				case !errors.Is(err, ledger.ErrConflict):
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		wg.Wait()
		if wins.Load() != 1 {
			t.Fatalf("round %d: %d writers succeeded", round, wins.Load())
		}
		seq = won.Load()
	}
	if got := s.load(t, trade); len(got.Events) != rounds || got.Seq != seq {
		t.Errorf("%d events up to %d, want %d up to %d", len(got.Events), got.Seq, rounds, seq)
	}
}

func future(t *testing.T, s *suite) {
	trade := s.trade()
	e := Event(trade, "disputed", 1)
	e.Note = "not known to this program"
	seq := s.append(t, e, 0)
	s.append(t, Event(trade, capture.Captured, 2), seq)
	got := s.load(t, trade)
	if len(got.Events) != 2 {
		t.Fatalf("got %s", ids(got.Events))
	}
	sameEvent(t, got.Events[0], e)
}

func badEvents(t *testing.T, s *suite) {
	for _, id := range []string{"", "a.b", "a*", ">", "a b", "ü", strings.Repeat("x", 65)} {
		if _, err := s.Append(t.Context(), Event(id, capture.Attempted, 1), 0); !errors.Is(err, ledger.ErrTradeID) {
			t.Errorf("append to %q: %v", id, err)
		}
		if _, err := s.Load(t.Context(), id); !errors.Is(err, ledger.ErrTradeID) {
			t.Errorf("load %q: %v", id, err)
		}
		if _, err := s.LoadLatest(t.Context(), id); !errors.Is(err, ledger.ErrTradeID) {
			t.Errorf("load latest %q: %v", id, err)
		}
		if _, _, err := s.Last(t.Context(), id); !errors.Is(err, ledger.ErrTradeID) {
			t.Errorf("last of %q: %v", id, err)
		}
	}
	nameless := Event(s.trade(), capture.Attempted, 1)
	nameless.ID = ""
	for _, e := range []capture.Event{nameless, Event(s.trade(), "", 1), Event(s.trade(), "a.b", 1), Event(s.trade(), "*", 1)} {
		if _, err := s.Append(t.Context(), e, 0); !errors.Is(err, capture.ErrEvent) {
			t.Errorf("append %+v: %v", e, err)
		}
	}
}

func walk(t *testing.T, s *suite, f ledger.Filter) map[string]int {
	t.Helper()
	met := map[string]int{}
	for trade, err := range s.Trades(t.Context(), f) {
		if err != nil {
			t.Fatal(err)
		}
		met[trade]++
	}
	return met
}

func walkOnce(t *testing.T, s *suite) {
	const trades = 700 // more than a page, with two events each
	made, seqs := make([]string, trades), make([]uint64, trades)
	for i := range made {
		made[i] = s.trade()
		seqs[i] = s.append(t, Event(made[i], capture.Attempted, 1), 0)
	}
	for i, trade := range made {
		s.append(t, Event(trade, capture.Captured, 2), seqs[i])
	}
	met := walk(t, s, ledger.Filter{})
	for _, trade := range made {
		if met[trade] != 1 {
			t.Fatalf("trade %s was yielded %d times", trade, met[trade])
		}
	}
}

func walkSince(t *testing.T, s *suite) {
	old, touched, fresh := s.trade(), s.trade(), s.trade()
	s.append(t, Event(old, capture.Attempted, 1), 0)
	seq := s.append(t, Event(touched, capture.Attempted, 1), 0)
	seq = s.append(t, Event(touched, capture.Answered, 2), seq)
	last, _, err := s.Last(t.Context(), touched)
	if err != nil {
		t.Fatal(err)
	}
	since := last.Stored.Add(time.Nanosecond)
	seq = s.append(t, Event(touched, capture.Queried, 3), seq)
	s.append(t, Event(touched, capture.Captured, 4), seq)
	s.append(t, Event(fresh, capture.Attempted, 1), 0)

	met := walk(t, s, ledger.Filter{Since: since})
	if met[old] != 0 || met[touched] != 1 || met[fresh] != 1 {
		t.Errorf("yielded old %d, touched %d, fresh %d times; want 0, 1, 1", met[old], met[touched], met[fresh])
	}
	if met := walk(t, s, ledger.Filter{Since: time.Now().Add(time.Hour)}); len(met) != 0 {
		t.Errorf("yielded %d trades with a Since in the future", len(met))
	}
}

func walkLeft(t *testing.T, s *suite) {
	for range 3 {
		s.append(t, Event(s.trade(), capture.Attempted, 1), 0)
	}
	for _, err := range s.Trades(t.Context(), ledger.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
}

// tail checks Tail. Other tests may append to the same ledger at the same time, so
// the test reads more events than it has appended.
func tail(t *testing.T, s *suite) {
	l, ok := s.Ledger.(ledger.Tailer)
	if !ok {
		t.Skip("this ledger has no Tail")
	}
	trade := s.trade()
	var seq uint64
	var want []uint64
	for n := range 30 {
		seq = s.append(t, Event(trade, capture.Queried, n), seq)
		want = append(want, seq)
	}
	found, err := l.Tail(t.Context(), ledger.MaxTail+1)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) > ledger.MaxTail {
		t.Errorf("%d events, more than MaxTail", len(found))
	}
	var got []uint64
	for i, e := range found {
		if i > 0 && e.Seq <= found[i-1].Seq {
			t.Fatalf("sequence %d after %d", e.Seq, found[i-1].Seq)
		}
		if e.Event.TradeID == trade {
			got = append(got, e.Seq)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the tail has the events %v of the trade, want %v", got, want)
	}
	if few, err := l.Tail(t.Context(), 3); err != nil || len(few) != 3 {
		t.Errorf("a tail of three: %d events, %v", len(few), err)
	}
	if none, err := l.Tail(t.Context(), 0); err != nil || len(none) != 0 {
		t.Errorf("a tail of none: %d events, %v", len(none), err)
	}
}

func watchFollows(t *testing.T, s *suite) {
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	trade := s.trade()
	first := s.append(t, Event(trade, capture.Attempted, 1), 0)
	second := s.append(t, Event(trade, capture.Answered, 2), first)
	want := []uint64{first, second}
	n := 0
	for entry, err := range s.Watch(ctx, first) {
		if err != nil {
			t.Fatal(err)
		}
		if entry.Event.TradeID != trade {
			continue
		}
		if entry.Seq != want[n] || entry.Event.ID == "" || entry.Stored.IsZero() {
			t.Fatalf("entry %d is %+v, want sequence %d", n, entry, want[n])
		}
		if n++; n == 4 {
			break
		}
		if n == len(want) {
			want = append(want, s.append(t, Event(trade, capture.Queried, n+1), want[n-1]))
		}
	}
	if n != 4 {
		t.Errorf("it ended after %d events", n)
	}
}

// watchNew appends until the watch, whose start time is not known here, yields an
// event. Then it must yield every later one.
func watchNew(t *testing.T, s *suite) {
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	trade := s.trade()
	old := s.append(t, Event(trade, capture.Attempted, 0), 0)
	seen := make(chan uint64)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		defer close(seen)
		for entry, err := range s.Watch(ctx, 0) {
			if err != nil {
				t.Error(err)
				return
			}
			select {
			case seen <- entry.Seq:
			case <-ctx.Done():
				return
			}
		}
	})
	seq, n := old, 0
	for began := false; !began; n++ {
		seq = s.append(t, Event(trade, capture.Queried, n), seq)
		select {
		case got := <-seen:
			began = true
			if got <= old {
				t.Fatalf("an event from before the watch: %d, last was %d", got, old)
			}
			for got != seq && got != 0 {
				got = <-seen
			}
		case <-time.After(20 * time.Millisecond):
		}
	}
	seq = s.append(t, Event(trade, capture.Captured, n), seq)
	if got := <-seen; got != seq {
		t.Errorf("saw sequence %d, want %d", got, seq)
	}
}

func cancelled(t *testing.T, s *suite) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	trade := s.trade()
	_, appendErr := s.Append(ctx, Event(trade, capture.Attempted, 1), 0)
	_, loadErr := s.Load(ctx, trade)
	_, latestErr := s.LoadLatest(ctx, trade)
	_, _, lastErr := s.Last(ctx, trade)
	var walkErr error
	s.append(t, Event(s.trade(), capture.Attempted, 1), 0)
	for _, err := range s.Trades(ctx, ledger.Filter{}) {
		walkErr = err
	}
	for what, err := range map[string]error{"append": appendErr, "load": loadErr, "load latest": latestErr, "last": lastErr, "walk": walkErr} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for entry, err := range s.Watch(ctx, 1) {
		t.Errorf("watch: %s", fmt.Sprint(entry, err))
		break
	}
	if got := s.load(t, trade); len(got.Events) != 0 {
		t.Error("a cancelled append was stored")
	}
}
