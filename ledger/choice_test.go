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

// stand is somebody who answers in the place of a stream, one message after the
// other, and takes his time.
type stand struct {
	one, commit, staged time.Duration // for an event alone, for a batch, and for each event in it
	allows              bool          // batches

	seq     uint64
	inBatch uint64
	asked   atomic.Int64 // for the stream's configuration
	batches atomic.Int64
}

func (s *stand) open(t *testing.T) *ledger.JetStream {
	t.Helper()
	url := server(t).URL()
	nc := connect(t, url).Conn()
	if _, err := nc.Subscribe("captures.>", s.take); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Subscribe("STAND.STREAM.INFO.CAPTURES", func(m *nats.Msg) {
		s.asked.Add(1)
		_ = m.Respond(fmt.Appendf(nil, `{"config":{"name":"CAPTURES","allow_atomic":%v}}`, s.allows))
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.NewWithAPIPrefix(connect(t, url).Conn(), "STAND")
	if err != nil {
		t.Fatal(err)
	}
	return ledger.NewJetStream(js, ledger.Options{})
}

func (s *stand) take(m *nats.Msg) {
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

// write lets writers append for as long as it takes, or a while.
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
	await(t, "enough was written", until)
}

func forAWhile() func() bool {
	end := time.Now().Add(time.Second)
	return func() bool { return time.Now().After(end) }
}

// TestTheWayIsChosenByWhatTheServerDoes, not by configuration.
func TestTheWayIsChosenByWhatTheServerDoes(t *testing.T) {
	t.Parallel()
	t.Run("it syncs every message", func(t *testing.T) {
		t.Parallel()
		s := &stand{one: time.Millisecond, commit: 3 * time.Millisecond, allows: true}
		l := s.open(t)
		write(t, l, 64, func() bool { return s.batches.Load() > 20 })
		if !ledger.Batching(l) || s.asked.Load() != 1 {
			t.Errorf("batching: %v, asked %d times", ledger.Batching(l), s.asked.Load())
		}
	})
	t.Run("it is slower with batches", func(t *testing.T) {
		t.Parallel()
		s := &stand{one: time.Millisecond, staged: 2 * time.Millisecond, commit: 3 * time.Millisecond, allows: true}
		l := s.open(t)
		write(t, l, 64, func() bool { return s.batches.Load() > 0 && !ledger.Batching(l) })
		before := s.batches.Load()
		write(t, l, 64, forAWhile())
		if got := s.batches.Load(); got != before {
			t.Errorf("%d batches after they did not pay", got-before)
		}
	})
	t.Run("its stream takes no batches", func(t *testing.T) {
		t.Parallel()
		s := &stand{one: time.Millisecond}
		l := s.open(t)
		write(t, l, 64, func() bool { return s.asked.Load() > 0 })
		write(t, l, 64, forAWhile())
		if s.asked.Load() != 1 || s.batches.Load() > 0 {
			t.Errorf("asked %d times, %d batches", s.asked.Load(), s.batches.Load())
		}
	})
	t.Run("few write", func(t *testing.T) {
		t.Parallel()
		s := &stand{one: time.Millisecond, commit: time.Millisecond, allows: true}
		l := s.open(t)
		write(t, l, 4, forAWhile())
		if s.asked.Load() > 0 || s.batches.Load() > 0 {
			t.Errorf("asked %d times, %d batches for four writers", s.asked.Load(), s.batches.Load())
		}
	})
}
