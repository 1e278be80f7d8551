package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
)

// parkedWorld is a ledger with parked trades.
type parkedWorld struct {
	t     *testing.T
	js    jetstream.JetStream
	l     *ledger.JetStream
	after map[string]uint64
	n     int
	cases uint64 // events that the stream of cases is to hold
}

func (w *parkedWorld) add(trade string, types ...capture.EventType) {
	w.t.Helper()
	for _, kind := range types {
		w.n++
		e := capture.Event{ID: fmt.Sprint("E", w.n), Type: kind, TradeID: trade, Time: time.Now()}
		seq, err := w.l.Append(w.t.Context(), e, w.after[trade])
		if err != nil {
			w.t.Fatal(err)
		}
		w.after[trade] = seq
		if slices.Contains(ledger.CaseTypes(), kind) {
			w.cases++
		}
	}
}

// copied waits until the stream of cases has every case.
func (w *parkedWorld) copied() {
	w.t.Helper()
	processtest.WaitFor(w.t, processtest.Patience, "the cases to be copied", func() bool {
		info, _, err := ledger.InspectCases(w.t.Context(), w.js, ledger.StreamConfig{})
		return err == nil && info.State.Msgs == w.cases
	})
}

func newParkedWorld(t *testing.T) *parkedWorld {
	t.Helper()
	js := connect(t, server(t).URL())
	ensure(t, js, ledger.StreamConfig{})
	if found, err := ledger.EnsureCases(t.Context(), js, ledger.StreamConfig{}); err != nil || len(found) > 0 {
		t.Fatal(found, err)
	}
	return &parkedWorld{t: t, js: js, l: ledger.NewJetStream(js, ledger.Options{}), after: map[string]uint64{}}
}

// Trades are counted while they wait for an operator, whatever worker parked them
// and whatever event ends that.
func TestParkedTrades(t *testing.T) {
	w := newParkedWorld(t)
	p := w.l.Cases("").Follow()
	look := func(trades, want int, more bool) {
		t.Helper()
		w.copied()
		got, err := p.Look(t.Context(), trades)
		if err != nil || p.Count() != want || got != more {
			t.Errorf("%d trades, more %t, %v; want %d, %t", p.Count(), got, err, want, more)
		}
	}
	look(10, 0, false)
	w.add("paid", capture.Attempted, capture.Captured)
	w.add("released", capture.Attempted, capture.Parked, capture.Released)
	w.add("dismissed", capture.Attempted, capture.Parked, capture.Dismissed)
	w.add("noted", capture.Attempted, capture.Parked, capture.Notified)
	w.add("closed", capture.Attempted, capture.Parked, capture.Dismissed, capture.Notified)
	w.add("twice", capture.Attempted, capture.Parked, capture.Released, capture.Attempted, capture.Parked)
	look(10, 2, false) // notified, and parked twice
	w.add("other", capture.Attempted, capture.Captured)
	w.add("new", capture.Attempted, capture.Parked)
	look(10, 3, false)
	w.add("noted", capture.Captured)
	w.add("twice", capture.Released)
	look(10, 1, false)
	w.add("twice", capture.Attempted, capture.Parked)
	look(10, 2, false)
}

// A call of Look is bounded, and the next one continues.
func TestLookIsBounded(t *testing.T) {
	w := newParkedWorld(t)
	for i := range 25 {
		w.add(fmt.Sprint("T", i), capture.Parked)
	}
	p := w.l.Cases("").Follow()
	w.copied()
	for i, want := range []int{10, 20, 25} {
		more, err := p.Look(t.Context(), 10)
		if err != nil || p.Count() != want || more != (want < 25) {
			t.Errorf("look %d: %d trades, more %t, %v; want %d", i, p.Count(), more, err, want)
		}
	}
	for i := range 25 {
		w.add(fmt.Sprint("T", i), capture.Captured)
	}
	for range 3 {
		if _, err := p.Look(t.Context(), 10); err != nil {
			t.Fatal(err)
		}
	}
	if p.Count() != 0 {
		t.Errorf("%d trades are still counted after three looks, want none", p.Count())
	}
}

// A trade that cannot be decoded is counted and reported, and the others are
// checked.
func TestParkedTradesWithUndecodableEvent(t *testing.T) {
	w := newParkedWorld(t)
	if _, err := w.js.Publish(t.Context(), "captures.broken.parked", []byte("not an event")); err != nil {
		t.Fatal(err)
	}
	w.cases++
	w.add("T1", capture.Attempted, capture.Parked)
	w.add("T2", capture.Attempted, capture.Parked)
	p := w.l.Cases("").Follow()
	for want := 3; want > 1; want-- {
		w.copied()
		if _, err := p.Look(t.Context(), 10); !errors.Is(err, capture.ErrEvent) || p.Count() != want {
			t.Errorf("%d trades, %v; want %d and what cannot be read", p.Count(), err, want)
		}
		w.add(fmt.Sprint("T", want-1), capture.Dismissed)
	}
}
