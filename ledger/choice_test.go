package ledger_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/ledger/ledgertest"
)

// fakeStream replies in place of a stream, one message after the other, with
// configured delays.
type fakeStream struct {
	one, commit, staged time.Duration // delays: a single event, a batch, each event of it
	allows              bool          // allows batches
	replicas            int

	seq     uint64
	inBatch uint64
	asked   atomic.Int64 // requests for the stream's configuration
	batches atomic.Int64
}

func (s *fakeStream) open(t *testing.T) *ledger.JetStream {
	t.Helper()
	return s.openWith(t, ledger.Options{})
}

func (s *fakeStream) openWith(t *testing.T, o ledger.Options) *ledger.JetStream {
	t.Helper()
	url := server(t).URL()
	nc := connect(t, url).Conn()
	if _, err := nc.Subscribe("captures.>", s.take); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Subscribe("FAKE.STREAM.INFO.CAPTURES", func(m *nats.Msg) {
		s.asked.Add(1)
		_ = m.Respond(fmt.Appendf(nil, `{"config":{"name":"CAPTURES","allow_atomic":%v,"num_replicas":%d}}`, s.allows, s.replicas))
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.NewWithAPIPrefix(connect(t, url).Conn(), "FAKE")
	if err != nil {
		t.Fatal(err)
	}
	return ledger.NewJetStream(js, o)
}

func (s *fakeStream) take(m *nats.Msg) {
	id := m.Header.Get("Nats-Batch-Id")
	s.seq++
	if id == "" {
		time.Sleep(s.one)
		_ = m.Respond(fmt.Appendf(nil, `{"stream":"CAPTURES","seq":%d}`, s.seq))
		return
	}
	time.Sleep(s.staged)
	s.inBatch++
	if m.Header.Get("Nats-Batch-Commit") == "" {
		return
	}
	time.Sleep(s.commit)
	s.batches.Add(1)
	_ = m.Respond(fmt.Appendf(nil, `{"stream":"CAPTURES","seq":%d,"batch":%q,"count":%d}`, s.seq, id, s.inBatch))
	s.inBatch = 0
}

// write runs writers that append until a condition is true.
func write(t *testing.T, l *ledger.JetStream, writers int, until func() bool) {
	t.Helper()
	var wg sync.WaitGroup
	var over atomic.Bool
	for w := range writers {
		wg.Go(func() {
			for n := 0; !over.Load(); n++ {
				if _, err := l.Append(t.Context(), ledgertest.Event(fmt.Sprintf("t%d-%d", w, n), capture.Attempted, 1), 0); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	defer wg.Wait()
	defer over.Store(true)
	await(t, "the writers to finish", until)
}

func forAWhile() func() bool {
	end := time.Now().Add(time.Second)
	return func() bool { return time.Now().After(end) }
}

// TestBatchesAreChosenByMeasurement checks that batches are chosen by measurement
// if no mode is configured.
func TestBatchesAreChosenByMeasurement(t *testing.T) {
	t.Parallel()
	t.Run("server syncs every message", func(t *testing.T) {
		t.Parallel()
		s := &fakeStream{one: time.Millisecond, commit: 3 * time.Millisecond, allows: true}
		l := s.open(t)
		write(t, l, 64, func() bool { return s.batches.Load() > 20 })
		if !ledger.Batching(l) || s.asked.Load() != 1 {
			t.Errorf("batching: %v, asked %d times", ledger.Batching(l), s.asked.Load())
		}
	})
	t.Run("server is slower with batches", func(t *testing.T) {
		t.Parallel()
		s := &fakeStream{one: time.Millisecond, staged: 2 * time.Millisecond, commit: 3 * time.Millisecond, allows: true}
		l := s.open(t)
		write(t, l, 64, func() bool { return s.batches.Load() > 0 && !ledger.Batching(l) })
		before := s.batches.Load()
		write(t, l, 64, forAWhile())
		if got := s.batches.Load(); got != before {
			t.Errorf("%d batches after they were slower", got-before)
		}
	})
	t.Run("stream allows no batches", func(t *testing.T) {
		t.Parallel()
		s := &fakeStream{one: time.Millisecond}
		l := s.open(t)
		write(t, l, 64, func() bool { return s.asked.Load() > 0 })
		write(t, l, 64, forAWhile())
		if s.asked.Load() != 1 || s.batches.Load() > 0 {
			t.Errorf("asked %d times, %d batches", s.asked.Load(), s.batches.Load())
		}
	})
	t.Run("replicated stream", func(t *testing.T) {
		t.Parallel()
		s := &fakeStream{one: time.Millisecond, commit: 3 * time.Millisecond, allows: true, replicas: 3}
		l := s.open(t)
		write(t, l, 64, func() bool { return s.asked.Load() > 0 })
		write(t, l, 64, forAWhile())
		if s.asked.Load() != 1 || s.batches.Load() > 0 {
			t.Errorf("asked %d times, %d batches", s.asked.Load(), s.batches.Load())
		}
	})
	t.Run("few writers", func(t *testing.T) {
		t.Parallel()
		s := &fakeStream{one: time.Millisecond, commit: time.Millisecond, allows: true}
		l := s.open(t)
		write(t, l, 4, forAWhile())
		if s.asked.Load() > 0 || s.batches.Load() > 0 {
			t.Errorf("asked %d times, %d batches for four writers", s.asked.Load(), s.batches.Load())
		}
	})
}
