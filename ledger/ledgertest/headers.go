package ledgertest

import (
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
)

// longChain is more events than a ledger reads one by one.
const longChain = 40

func lastHeaders(t *testing.T, s *suite) {
	trade := s.trade()
	given := nats.Header{"traceparent": {"first"}, "Shop": {"a", "b"}, "Nats-Msg-Id": {"mine"}, "ce-id": {"mine"}, "Status": {"404"}}
	seq, err := s.Append(t.Context(), Event(trade, capture.Attempted, 1), 0, ledger.WithHeaders(given))
	if err != nil {
		t.Fatal(err)
	}
	if h := s.load(t, trade).Headers; len(h) != 2 || h["traceparent"][0] != "first" || len(h["Shop"]) != 2 {
		t.Errorf("headers are %v", h)
	}
	seq = s.append(t, Event(trade, capture.Answered, 2), seq)
	if h := s.load(t, trade).Headers; len(h) != 0 {
		t.Errorf("headers of an event without any are %v", h)
	}
	for n := 3; n < longChain; n++ {
		seq = s.append(t, Event(trade, capture.Answered, n), seq)
	}
	given["traceparent"][0] = "last"
	if _, err := s.Append(t.Context(), Event(trade, capture.Answered, longChain), seq, ledger.WithHeaders(given)); err != nil {
		t.Fatal(err)
	}
	if h := s.load(t, trade).Headers; len(h) != 2 || h["traceparent"][0] != "last" {
		t.Errorf("headers of the last of many events are %v", h)
	}
}
