package jobstream_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/internal/jobstream"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

// What a consumer has finished is left out; what was delivered is
// distinguished from what was not.
func TestBacklog(t *testing.T) {
	t.Parallel()
	s := newBroker(t)
	s.ensure()
	s.publish(5)
	name := s.cfg.Consumers[0].Name
	consumer, err := s.js.Consumer(t.Context(), s.cfg.Jobs, name)
	if err != nil {
		t.Fatal(err)
	}
	batch, err := consumer.Fetch(2, jetstream.FetchMaxWait(processtest.Patience))
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
	for w, err := range jobstream.Backlog(t.Context(), s.js, s.cfg.Jobs, name) {
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
	for _, err := range jobstream.Backlog(t.Context(), s.js, s.cfg.Jobs, "unknown") {
		if err == nil {
			t.Error("a consumer that is not there has a backlog")
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range jobstream.Backlog(ended, s.js, s.cfg.Jobs, name) {
		if err == nil {
			t.Error("a walk continues after its end")
		}
	}
	if info, err := consumer.Info(t.Context()); err != nil || info.NumAckPending != 1 || info.NumPending != 3 {
		t.Errorf("looking changed the consumer: %+v, %v", info, err)
	}
	stream, err := s.js.Stream(t.Context(), s.cfg.Jobs)
	if err != nil || stream.CachedInfo().State.Consumers != 1 {
		t.Errorf("looking left a consumer behind: %v", err)
	}
}

// What the consumers have done with is read from the newest back, and what one of
// them has yet to do is left out.
func TestDone(t *testing.T) {
	t.Parallel()
	s := newBroker(t)
	s.ensure()
	const n = 300 // more than are asked for at a time
	s.publish(n)
	name := s.cfg.Consumers[0].Name
	done := func(ctx context.Context, consumers ...string) (sequences []uint64, failed error) {
		for p, err := range jobstream.Done(ctx, s.js, s.cfg.Jobs, consumers) {
			if err != nil {
				return sequences, err
			}
			if string(p.Body) != fmt.Sprint(p.Sequence-1) || p.Stored.IsZero() || p.Subject != "capture.jobs.shipped" {
				t.Errorf("%q is sequence %d of %s, stored %s", p.Body, p.Sequence, p.Subject, p.Stored)
			}
			sequences = append(sequences, p.Sequence)
		}
		return sequences, nil
	}
	if got, err := done(t.Context(), name); len(got) > 0 || err != nil {
		t.Errorf("nothing was done, and %v is: %v", got, err)
	}
	consumer, err := s.js.Consumer(t.Context(), s.cfg.Jobs, name)
	if err != nil {
		t.Fatal(err)
	}
	batch, err := consumer.Fetch(n-5, jetstream.FetchMaxWait(processtest.Patience))
	if err != nil {
		t.Fatal(err)
	}
	for m := range batch.Messages() {
		if err := m.DoubleAck(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	got, err := done(t.Context(), name)
	if err != nil || len(got) != n-5 || got[0] != n-5 || got[len(got)-1] != 1 {
		t.Errorf("%d are done: %v, %v", len(got), got, err)
	}
	for i := range got {
		if got[i] != uint64(n-5-i) {
			t.Fatalf("sequence %d is the %dth", got[i], i)
		}
	}
	// Another lane that takes them too has all of them before it.
	if _, err := s.js.CreateConsumer(t.Context(), s.cfg.Jobs, jetstream.ConsumerConfig{Durable: "other", AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
		t.Fatal(err)
	}
	if got, err := done(t.Context(), name, "other"); len(got) > 0 || err != nil {
		t.Errorf("what waits in another lane is done: %v, %v", got, err)
	}
	if got, err := done(t.Context()); len(got) > 0 || err != nil {
		t.Errorf("without consumers %v is done: %v", got, err)
	}
	if _, err := done(t.Context(), name, "unknown"); err == nil {
		t.Error("a consumer that is not there has done something")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := done(ended, name); err == nil {
		t.Error("a walk continues after its end")
	}
}
