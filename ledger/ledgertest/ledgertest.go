// Package ledgertest has the test suite that every ledger.Ledger must pass (Run),
// and a ledger that fails on demand (Faulty).
package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
)

// Run tests a ledger against the contract of ledger.Ledger. open returns the ledger
// for a test. It may return the same one each time, and it may contain other
// trades.
func Run(t *testing.T, open func(t *testing.T) ledger.Ledger) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *suite)
	}{
		{"events are read in order and unchanged", inOrder},
		{"an empty trade is not an error", emptyTrade},
		{"another last event is a conflict", conflict},
		{"the same event again is not stored twice", sameEventAgain},
		{"trades are independent", independent},
		{"similar trade ids are kept apart", closeNames},
		{"one of several concurrent writers succeeds", oneWins},
		{"unknown types and members are kept", future},
		{"bad events are refused", badEvents},
		{"the last event's headers are returned", lastHeaders},
		{"a long trade is read completely", longTrade},
		{"Trades yields every trade once", walkOnce},
		{"Trades with Since", walkSince},
		{"Trades can be stopped", walkLeft},
		{"Tail returns the newest events", tail},
		{"Watch replays and follows", watchFollows},
		{"Watch from now on", watchNew},
		{"a cancelled context ends every method", cancelled},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(t, &suite{Ledger: open(t), prefix: fmt.Sprintf("t%d", time.Now().UnixNano())})
		})
	}
}

// bound is a timeout that a correct ledger does not come near.
const bound = 2 * time.Minute

type suite struct {
	ledger.Ledger
	prefix string
	made   int
}

// trade returns an unused trade id.
func (s *suite) trade() string {
	s.made++
	return fmt.Sprintf("%s-%d", s.prefix, s.made)
}

// Event returns an event whose id consists of the trade, type and number.
func Event(trade string, typ capture.EventType, n int) capture.Event {
	return capture.Event{
		ID: fmt.Sprintf("%s-%s-%d", trade, typ, n), Type: typ, TradeID: trade, Worker: "w1",
		Time: time.Date(2026, 11, 2, 10, 0, n, 5000, time.UTC),
	}
}

func (s *suite) append(t *testing.T, e capture.Event, after uint64) uint64 {
	t.Helper()
	seq, err := s.Append(t.Context(), e, after)
	if err != nil {
		t.Fatalf("appending %s after %d: %v", e.ID, after, err)
	}
	return seq
}

func (s *suite) load(t *testing.T, trade string) ledger.Trade {
	t.Helper()
	got, err := s.LoadLatest(t.Context(), trade)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func ids(events []capture.Event) string {
	var all []string
	for _, e := range events {
		all = append(all, e.ID)
	}
	return strings.Join(all, " ")
}

func inOrder(t *testing.T, s *suite) {
	trade := s.trade()
	amount, err := capture.ParseAmount("24.99", "EUR")
	if err != nil {
		t.Fatal(err)
	}
	first := Event(trade, capture.Attempted, 1)
	first.Attempt, first.Call, first.RequestID = 1, 1, "ca51f2fas3i0f8uiw7efj6oe"
	first.Job = &capture.Job{TradeID: trade, Amount: amount, OrderID: "A-1"}
	second := Event(trade, capture.Answered, 2)
	second.Answer = &capture.Answer{Kind: capture.AnswerUnknown, Why: "timeout", Latency: time.Second}
	third := Event(trade, capture.Captured, 3)
	third.Amount, third.Currency = "24.99", "EUR"
	want := []capture.Event{first, second, third}
	var seq uint64
	for _, e := range want {
		next := s.append(t, e, seq)
		if next <= seq {
			t.Fatalf("sequence %d after %d", next, seq)
		}
		seq = next
	}
	got := s.load(t, trade)
	if got.ID != trade || got.Seq != seq || len(got.Events) != 3 {
		t.Fatalf("got trade %s with %d events up to %d, want %s, 3, %d", got.ID, len(got.Events), got.Seq, trade, seq)
	}
	for i := range want {
		sameEvent(t, got.Events[i], want[i])
	}
	if phase := got.State().Phase; phase != capture.PhaseCaptured {
		t.Errorf("the events add up to %s", phase)
	}
	last, ok, err := s.Last(t.Context(), trade)
	if err != nil || !ok || last.Seq != seq {
		t.Fatalf("last: %v, %v, %v", last, ok, err)
	}
	sameEvent(t, last.Event, third)
	if age := time.Since(last.Stored); age < -time.Minute || age > time.Hour {
		t.Errorf("stored %s ago", age)
	}
}

func sameEvent(t *testing.T, got, want capture.Event) {
	t.Helper()
	g, err := got.Encode()
	if err != nil {
		t.Fatal(err)
	}
	w, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if string(g) != string(w) {
		t.Errorf("got  %s\nwant %s", g, w)
	}
}

func emptyTrade(t *testing.T, s *suite) {
	trade := s.trade()
	for _, load := range []func(context.Context, string) (ledger.Trade, error){s.Load, s.LoadLatest} {
		got, err := load(t.Context(), trade)
		if err != nil || got.ID != trade || got.Seq != 0 || len(got.Events) != 0 {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if last, ok, err := s.Last(t.Context(), trade); ok || err != nil {
		t.Errorf("last: %v, %v, %v", last, ok, err)
	}
}

func conflict(t *testing.T, s *suite) {
	trade := s.trade()
	one := s.append(t, Event(trade, capture.Attempted, 1), 0)
	two := s.append(t, Event(trade, capture.Answered, 2), one)
	for _, after := range []uint64{0, one, two + 1000} {
		_, err := s.Append(t.Context(), Event(trade, capture.Parked, 3), after)
		if !errors.Is(err, ledger.ErrConflict) || errors.Is(err, ledger.ErrUncertain) {
			t.Errorf("after %d: %v, want a conflict", after, err)
		}
		about, ok := errors.AsType[*ledger.ConflictError](err)
		if !ok || about.TradeID != trade || about.After != after {
			t.Errorf("after %d: the conflict is %+v", after, about)
		}
	}
	if got := s.load(t, trade); len(got.Events) != 2 || got.Seq != two {
		t.Errorf("the refused append was stored: %s", ids(got.Events))
	}
}

func sameEventAgain(t *testing.T, s *suite) {
	trade := s.trade()
	e := Event(trade, capture.Attempted, 1)
	one := s.append(t, e, 0)
	if again := s.append(t, e, 0); again != one {
		t.Errorf("sequence %d, want %d again", again, one)
	}
	s.append(t, Event(trade, capture.Captured, 2), one)
	if again := s.append(t, e, 0); again != one {
		t.Errorf("sequence %d, want %d again after another event", again, one)
	}
	if got := s.load(t, trade); len(got.Events) != 2 {
		t.Errorf("got %s", ids(got.Events))
	}
}

func independent(t *testing.T, s *suite) {
	a, b := s.trade(), s.trade()
	a1 := s.append(t, Event(a, capture.Attempted, 1), 0)
	b1 := s.append(t, Event(b, capture.Attempted, 1), 0)
	a2 := s.append(t, Event(a, capture.Captured, 2), a1)
	b2 := s.append(t, Event(b, capture.Failed, 2), b1)
	if got := s.load(t, a); got.Seq != a2 || len(got.Events) != 2 {
		t.Errorf("a: %d, %s", got.Seq, ids(got.Events))
	}
	if got := s.load(t, b); got.Seq != b2 || len(got.Events) != 2 {
		t.Errorf("b: %d, %s", got.Seq, ids(got.Events))
	}
}

func closeNames(t *testing.T, s *suite) {
	base := s.trade()
	for _, trade := range []string{base, base + "-", base + "_", base + "A", base + "a"} {
		s.append(t, Event(trade, capture.Attempted, 1), 0)
		if got := s.load(t, trade); len(got.Events) != 1 || got.Events[0].TradeID != trade {
			t.Errorf("%s: %s", trade, ids(got.Events))
		}
	}
}

func longTrade(t *testing.T, s *suite) {
	trade := s.trade()
	var seq uint64
	const events = 600
	for n := range events {
		seq = s.append(t, Event(trade, capture.Queried, n), seq)
	}
	got := s.load(t, trade)
	if len(got.Events) != events || got.Seq != seq {
		t.Fatalf("%d events up to %d, want %d up to %d", len(got.Events), got.Seq, events, seq)
	}
	if !slices.IsSortedFunc(got.Events, func(a, b capture.Event) int { return a.Time.Compare(b.Time) }) {
		t.Error("out of order")
	}
}
