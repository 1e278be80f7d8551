package worker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
	"github.com/capture-worker/capture-worker/worker"
)

// What a consumer has finished is left out; what is in hand is told apart from
// what nobody has.
func TestBacklog(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Options{})
	s.worker(nil) // makes the streams
	for i := range 5 {
		s.publish(nats.Header{}, fmt.Sprint(i))
	}
	name := s.streams.Consumers[0].Name
	consumer, err := s.js.Consumer(t.Context(), s.streams.Jobs, name)
	if err != nil {
		t.Fatal(err)
	}
	batch, err := consumer.Fetch(2, jetstream.FetchMaxWait(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	for m := range batch.Messages() {
		if string(m.Data()) == "0" {
			if err := m.DoubleAck(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	var got []string
	for w, err := range worker.Backlog(t.Context(), s.js, s.streams.Jobs, name) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s@%d delivered=%t ahead=%d", w.Body, w.Sequence, w.Delivered, w.Ahead))
		if w.Stored.IsZero() || w.Subject != "capture.jobs.shipped" {
			t.Errorf("a job of %s, stored %s", w.Subject, w.Stored)
		}
	}
	want := "[1@2 delivered=true ahead=0 2@3 delivered=false ahead=0 3@4 delivered=false ahead=1 4@5 delivered=false ahead=2]"
	if fmt.Sprint(got) != want {
		t.Errorf("the backlog is %v, want %s", got, want)
	}
	for _, err := range worker.Backlog(t.Context(), s.js, s.streams.Jobs, "nobody") {
		if err == nil {
			t.Error("a consumer that is not there has a backlog")
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range worker.Backlog(ended, s.js, s.streams.Jobs, name) {
		if err == nil {
			t.Error("a walk goes on after its end")
		}
	}
	if info, err := consumer.Info(t.Context()); err != nil || info.NumAckPending != 1 || info.NumPending != 3 {
		t.Errorf("looking changed the consumer: %+v, %v", info, err)
	}
	stream, err := s.js.Stream(t.Context(), s.streams.Jobs)
	if err != nil || stream.CachedInfo().State.Consumers != 1 {
		t.Errorf("looking left a consumer behind: %v", err)
	}
}
