package ledger_test

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
)

// TestTradesWith checks that both implementations yield each trade once, in the
// order of its first event of the type.
func TestTradesWith(t *testing.T) {
	js := connect(t, server(t).URL())
	ensure(t, js, ledger.StreamConfig{})
	for name, l := range map[string]ledger.Ledger{"memory": &ledger.Memory{}, "jetstream": ledger.NewJetStream(js, ledger.Options{})} {
		t.Run(name, func(t *testing.T) { tradesWith(t, l) })
	}
}

func tradesWith(t *testing.T, l ledger.Ledger) {
	after, n := map[string]uint64{}, 0
	add := func(trade string, types ...capture.EventType) {
		for _, kind := range types {
			n++
			seq, err := l.Append(t.Context(), capture.Event{ID: "E" + strconv.Itoa(n), Type: kind, TradeID: trade, Time: time.Now()}, after[trade])
			if err != nil {
				t.Fatal(err)
			}
			after[trade] = seq
		}
	}
	add("T1", capture.Attempted, capture.Captured)
	add("T2", capture.Attempted, capture.Parked)
	add("T3", capture.Parked)
	add("T2", capture.Released, capture.Parked)
	for kind, want := range map[capture.EventType][]string{
		capture.Parked: {"T2", "T3"}, capture.Captured: {"T1"}, capture.Dismissed: nil,
	} {
		var got []string
		for id, err := range ledger.TradesWith(t.Context(), l, kind) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, id)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", kind, got, want)
		}
	}
	for id := range ledger.TradesWith(t.Context(), l, capture.Parked) {
		if id != "T2" {
			t.Errorf("stopped at %s, want T2", id)
		}
		break
	}
}

// Messages yields what is stored, readable or not, within the range.
func TestMessagesYieldsARangeAsItIsStored(t *testing.T) {
	js := connect(t, server(t).URL())
	ensure(t, js, ledger.StreamConfig{})
	l := ledger.NewJetStream(js, ledger.Options{})
	const stored = 1203 // more than two pages
	for i := range stored {
		body := strconv.Itoa(i + 1)
		if _, err := js.Publish(t.Context(), "captures.T"+strconv.Itoa(i%7)+".attempted", []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	for _, span := range [][2]uint64{{0, 0}, {1, stored}, {600, 605}, {stored, 0}, {stored + 1, 0}, {7, 6}} {
		next, last := max(span[0], 1), uint64(stored)
		if span[1] != 0 {
			last = span[1]
		}
		for m, err := range l.Messages(t.Context(), span[0], span[1]) {
			if err != nil {
				t.Fatal(err)
			}
			if m.Sequence != next || string(m.Data) != strconv.FormatUint(next, 10) || len(m.Header) != 0 {
				t.Fatalf("%v: sequence %d with %q and %v, want %d", span, m.Sequence, m.Data, m.Header, next)
			}
			next++
		}
		if next != max(last+1, span[0], 1) {
			t.Errorf("%v: it ends before sequence %d", span, next)
		}
	}
	missing := ledger.NewJetStream(js, ledger.Options{Stream: "NONE"})
	n := 0
	for _, err := range missing.Messages(t.Context(), 0, 0) {
		if n++; err == nil || n > 1 {
			t.Fatalf("a stream that is not there: %v", err)
		}
	}
}
