package rig_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/bench/internal/rig"
)

func metric(seq int, took time.Duration) []byte {
	return fmt.Appendf(nil, `{"type":"io.nats.jetstream.metric.v1.consumer_ack","id":"x","timestamp":"2026-11-22T20:00:00Z",`+
		`"stream":"CAPTURE_JOBS","consumer":"capture-worker","consumer_seq":%d,"stream_seq":%d,"ack_time":%d,"deliveries":1}`, seq+7, seq, took)
}

func TestDecodeSamples(t *testing.T) {
	raw := [][]byte{
		metric(9, time.Hour), metric(12, 30*time.Millisecond), metric(10, 20*time.Millisecond),
		metric(95, time.Hour), metric(94, 25*time.Millisecond),
	}
	got, err := rig.DecodeSamples(raw, 10, 95)
	want := []time.Duration{20 * time.Millisecond, 25 * time.Millisecond, 30 * time.Millisecond}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	for _, bad := range []string{`{`, `{"ack_time":5}`, `{"stream_seq":"5"}`} {
		if _, err := rig.DecodeSamples([][]byte{[]byte(bad)}, 0, 100); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func TestIDsAreNeverUsedTwice(t *testing.T) {
	ids := rig.NewIDs(time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC))
	first, second := string(ids.Next()), string(ids.Next())
	if want := `{"trade_id":"T0000000120261122","amount":"24.99","currency":"EUR","order_id":"A-1","description":"order A-1"}`; first != want {
		t.Errorf("got %s, want %s", first, want)
	}
	if first == second {
		t.Error("the same job twice")
	}
}
