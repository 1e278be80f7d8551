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
