package jobstream_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/jobstream"
)

// The mapping of a worker can be read from its consumer without the configuration. A
// consumer that the user created stays as it is.
func TestMappingIsNotedInTheConsumer(t *testing.T) {
	b := newBroker(t)
	noted := func() (capture.Mapping, error) {
		return jobstream.ConsumerMapping(t.Context(), b.js, "CAPTURE_JOBS", "capture-worker")
	}
	want := func(m capture.Mapping) {
		t.Helper()
		if got, err := noted(); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("noted %+v, %v; want %+v", got, err, m)
		}
	}
	b.ensure() // as publish --create does
	if _, err := noted(); !errors.Is(err, jobstream.ErrNoMapping) {
		t.Errorf("without a mapping: %v", err)
	}
	mapped := capture.Mapping{
		Fields: map[string]capture.Field{"trade_id": capture.At("payment.id", "$.payments[0].id"), "currency": {Value: "EUR"},
			"amount": {Paths: []string{"cents"}, Unit: capture.UnitMinor}},
		Match:       []capture.Match{{Path: "type", Values: []string{"a", "b"}, IgnoreCase: true}},
		NotifyHosts: []string{},
	}
	b.cfg.Mapping = &mapped
	b.ensure()
	want(mapped)
	ours := capture.Mapping{}
	b.cfg.Mapping = &ours
	consumer := b.ensure()
	want(ours)
	if c := consumer.CachedInfo().Config; c.MaxDeliver != -1 || c.AckWait != time.Minute || c.MaxAckPending != 50_000 || len(c.FilterSubjects)+len(c.FilterSubject) == 0 {
		t.Errorf("the consumer changed: %+v", c)
	}
	b.cfg.Mapping = nil
	b.ensure()
	want(ours)

	if err := b.js.DeleteConsumer(t.Context(), "CAPTURE_JOBS", "capture-worker"); err != nil {
		t.Fatal(err)
	}
	b.cfg.Mapping = &mapped
	b.ensure()
	want(mapped)

	if err := b.js.DeleteConsumer(t.Context(), "CAPTURE_JOBS", "capture-worker"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.js.CreateConsumer(t.Context(), "CAPTURE_JOBS", jetstream.ConsumerConfig{Durable: "capture-worker", AckPolicy: jetstream.AckExplicitPolicy, Description: "of the user"}); err != nil {
		t.Fatal(err)
	}
	b.ensure()
	if _, err := noted(); !errors.Is(err, jobstream.ErrNoMapping) {
		t.Errorf("a consumer of the user's own was changed: %v", err)
	}
}
