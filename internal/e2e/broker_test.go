//go:build unix

package e2e

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
)

// broker is a nats-server with JetStream and a client of ours. It may be
// killed and restarted at the same address on the same files.
type broker struct {
	t       *testing.T
	url     string
	port    int
	dir     string
	syncs   bool                 // every message, to the disk, before it is confirmed
	process *processtest.Process // nil where the worker embeds the server
	js      jetstream.JetStream
	book    *ledger.JetStream
}

func startBroker(t *testing.T) *broker {
	t.Helper()
	b := newBroker(t)
	b.start()
	b.connect()
	return b
}

func newBroker(t *testing.T) *broker {
	t.Helper()
	port := processtest.FreePort(t)
	return &broker{t: t, port: port, url: fmt.Sprintf("nats://127.0.0.1:%d", port), dir: t.TempDir()}
}

func (b *broker) start() {
	b.t.Helper()
	args := []string{"-js", "-sd", b.dir, "-a", "127.0.0.1", "-p", strconv.Itoa(b.port)}
	if b.syncs {
		file := filepath.Join(b.t.TempDir(), "nats.conf")
		if err := os.WriteFile(file, []byte("jetstream { sync_interval: always }\n"), 0o600); err != nil {
			b.t.Fatal(err)
		}
		args = append(args, "-c", file)
	}
	b.process = processtest.Start(b.t, "nats-server", nil, natsProgram, args...)
	b.process.Says("Server is ready", 1, patience)
}

// answerBound is for one answer of the broker, which may be lost with it.
const answerBound = patience / 4

// connect connects our own client, which outlives the server.
func (b *broker) connect() {
	b.t.Helper()
	nc, err := nats.Connect(b.url, nats.Timeout(answerBound), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond),
		nats.RetryOnFailedConnect(true))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(nc.Close)
	if b.js, err = jetstream.New(nc, jetstream.WithDefaultTimeout(answerBound)); err != nil {
		b.t.Fatal(err)
	}
	b.book = ledger.NewJetStream(b.js, ledger.Options{Bound: patience})
}

// publish publishes one message and waits until it is stored.
func (b *broker) publish(subject string, body []byte) {
	b.t.Helper()
	if _, err := b.js.Publish(b.t.Context(), subject, body); err != nil {
		b.t.Fatalf("publishing to %s: %v", subject, err)
	}
}

const (
	jobsStream   = "CAPTURE_JOBS"
	consumerName = "capture-worker"
	dlqStream    = "CAPTURE_DLQ"
	jobsSubject  = "capture.jobs.shipped"
)

// consumer tells how far the workers are. It is asked of a broker that may
// just be down, so an error is an answer too.
func (b *broker) consumer(stream string) (*jetstream.ConsumerInfo, error) {
	consumer, err := b.js.Consumer(b.t.Context(), stream, consumerName)
	if err != nil {
		return nil, err
	}
	return consumer.CachedInfo(), nil
}

// waitDone waits until no job is left, neither waiting nor delivered.
func (b *broker) waitDone(within time.Duration) {
	b.t.Helper()
	b.waitStreamDone(jobsStream, within)
}

func (b *broker) waitStreamDone(stream string, within time.Duration) {
	b.t.Helper()
	left := "not known"
	b.t.Cleanup(func() {
		if b.t.Failed() {
			b.t.Logf("jobs of %s left when last looked at: %s", stream, left)
		}
	})
	processtest.WaitFor(b.t, within, "all jobs of "+stream+" to be done", func() bool {
		info, err := b.consumer(stream)
		if err != nil {
			return false
		}
		left = fmt.Sprintf("%d not delivered, %d delivered and not done", info.NumPending, info.NumAckPending)
		// A job counts as pending only a moment after the stream has taken it.
		return info.NumPending == 0 && info.NumAckPending == 0 && info.Delivered.Stream >= b.lastJob(info)
	})
}

// lastJob is the sequence of the last job in the stream of a consumer.
func (b *broker) lastJob(info *jetstream.ConsumerInfo) uint64 {
	subjects := info.Config.FilterSubjects
	if info.Config.FilterSubject != "" {
		subjects = []string{info.Config.FilterSubject}
	}
	stream, err := b.js.Stream(b.t.Context(), info.Stream)
	if err != nil {
		return math.MaxUint64 // the broker is away: nothing is known to be done
	}
	last := uint64(0)
	for _, subject := range subjects {
		switch m, err := stream.GetLastMsgForSubject(b.t.Context(), subject); {
		case err == nil:
			last = max(last, m.Sequence)
		case !errors.Is(err, jetstream.ErrMsgNotFound):
			return math.MaxUint64
		}
	}
	return last
}

// waitNotPulling waits until no worker asks for jobs.
func (b *broker) waitNotPulling() {
	b.t.Helper()
	processtest.WaitFor(b.t, patience, "the worker to ask for no more jobs", func() bool {
		info, err := b.consumer(jobsStream)
		return err == nil && info.NumWaiting == 0
	})
}

func (b *broker) pending() int {
	b.t.Helper()
	info, err := b.consumer(jobsStream)
	if err != nil {
		b.t.Fatalf("asking about the consumer: %v", err)
	}
	return int(info.NumPending)
}

func (b *broker) hasStream(name string) bool {
	b.t.Helper()
	_, err := b.js.Stream(b.t.Context(), name)
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		b.t.Fatalf("looking for stream %s: %v", name, err)
	}
	return err == nil
}

// messages reads a stream from its beginning to its end.
func (b *broker) messages(name string) []*jetstream.RawStreamMsg {
	b.t.Helper()
	stream, err := b.js.Stream(b.t.Context(), name)
	if err != nil {
		b.t.Fatalf("stream %s: %v", name, err)
	}
	state := stream.CachedInfo().State
	var all []*jetstream.RawStreamMsg
	for seq := state.FirstSeq; seq <= state.LastSeq && state.Msgs > 0; seq++ {
		m, err := stream.GetMsg(b.t.Context(), seq)
		if err != nil {
			b.t.Fatalf("message %d of %s: %v", seq, name, err)
		}
		all = append(all, m)
	}
	return all
}

// events reads the ledger of one trade.
func (b *broker) events(trade string) []capture.Event {
	b.t.Helper()
	loaded, err := b.book.LoadLatest(b.t.Context(), trade)
	if err != nil {
		b.t.Fatalf("reading the ledger of %s: %v", trade, err)
	}
	return loaded.Events
}

// eventTypes counts the events of the ledger by type.
func (b *broker) eventTypes() map[capture.EventType]int {
	b.t.Helper()
	types := map[capture.EventType]int{}
	for id, err := range b.book.Trades(b.t.Context(), ledger.Filter{}) {
		if err != nil {
			b.t.Fatalf("walking the ledger: %v", err)
		}
		for _, e := range b.events(id) {
			types[e.Type]++
		}
	}
	return types
}
