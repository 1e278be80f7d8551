package jobstream_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/capture-worker/capture-worker/internal/jobstream"
	"github.com/capture-worker/capture-worker/internal/natstest"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, processtest.Leftovers()) }

// broker is an embedded server without streams, and what a worker needs of it.
type broker struct {
	t   *testing.T
	js  jetstream.JetStream
	cfg jobstream.Config
}

func newBroker(t *testing.T) *broker {
	t.Helper()
	js := natstest.JetStream(t)
	return &broker{t: t, js: js, cfg: jobstream.Config{
		Jobs: "CAPTURE_JOBS", Subjects: []string{"capture.jobs.>"}, DLQ: "CAPTURE_DLQ",
		Consumers: []jobstream.ConsumerConfig{{Name: "capture-worker", Subjects: []string{"capture.jobs.>"}}},
		Replicas:  1, AckWait: time.Minute, MaxAckPending: 50_000,
	}}
}

// ensure creates the streams and returns the consumer.
func (b *broker) ensure() jetstream.Consumer {
	b.t.Helper()
	consumers, err := jobstream.Ensure(b.t.Context(), b.js, b.cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	return consumers[0]
}

// publish publishes messages "0" to "n-1".
func (b *broker) publish(n int) {
	b.t.Helper()
	for i := range n {
		if _, err := b.js.Publish(b.t.Context(), "capture.jobs.shipped", fmt.Append(nil, i)); err != nil {
			b.t.Fatal(err)
		}
	}
}
