package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	natsd "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/natsserver"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/ledger/ledgertest"
)

const (
	aCommit   = "Nats-Batch-Commit: 1"
	aBatchAck = `"count":`
)

func TestQueuedAppendsAreStoredInOneBatch(t *testing.T) {
	t.Parallel()
	url, js := atomicServer(t)
	all := firsts(20)
	g := queueAppends(t, url, js, all)
	g.release(nil, nil)
	g.mustBeStored(t, all)
	id := g.batchOf(t, all[0].seq)
	for i, a := range all {
		if a.seq != all[0].seq+uint64(i) {
			t.Errorf("event %d has sequence %d, the first has %d", i, a.seq, all[0].seq)
		}
		if got := g.batchOf(t, a.seq); got != id || id == "" {
			t.Errorf("event %d is of batch %q, the first of %q", i, got, id)
		}
	}
	seq, err := g.l.Append(t.Context(), ledgertest.Event("t07", capture.Captured, 2), all[7].seq)
	if err != nil || seq <= all[19].seq {
		t.Errorf("after an event of a batch: %d, %v", seq, err)
	}
}

func TestLostBatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		up, down func(string) processtest.Action
	}{
		{"not stored: commit lost", processtest.Once(aCommit, processtest.Drop), nil},
		{"not stored: connection broken", processtest.Once(aCommit, processtest.Cut), nil},
		{"not stored: first event lost", processtest.Once("Nats-Batch-Sequence: 1\r", processtest.Drop), nil},
		{"stored: reply lost", nil, processtest.Once(aBatchAck, processtest.Drop)},
		{"stored: connection broken before the reply", nil, processtest.Once(aBatchAck, processtest.Cut)},
		{"stored: every reply lost", nil, processtest.Always(anAck, processtest.Drop)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			url, js := atomicServer(t)
			all := firsts(20)
			g := queueAppends(t, url, js, all)
			g.release(c.up, c.down)
			g.mustBeStored(t, all)
		})
	}
}

// TestConflictInBatch checks that each event gets the result that it would get
// alone.
func TestConflictInBatch(t *testing.T) {
	t.Parallel()
	url, js := atomicServer(t)
	all := firsts(12)
	all[5].after = 1_000_000
	g := queueAppends(t, url, js, all)
	other := ledgertest.Event("t08", capture.Parked, 9)
	if _, err := g.direct.Append(t.Context(), other, 0); err != nil {
		t.Fatal(err)
	}
	g.release(nil, nil)
	for _, lost := range []int{5, 8} {
		if err := all[lost].err; !errors.Is(err, ledger.ErrConflict) || errors.Is(err, ledger.ErrUncertain) {
			t.Errorf("event %d: %v, want a conflict", lost, err)
		}
	}
	if got := stored(t, g.direct, "t05") + stored(t, g.direct, "t08"); got != other.ID {
		t.Errorf("stored: %s", got)
	}
	g.mustBeStored(t, append(append(all[:5:5], all[6:8]...), all[9:]...))
}

// TestEventsOfOneTradeAreInSeparateBatches checks that, because in one batch the
// server would store both.
func TestEventsOfOneTradeAreInSeparateBatches(t *testing.T) {
	t.Parallel()
	url, js := atomicServer(t)
	all := firsts(6)
	rival := &asked{e: ledgertest.Event("t02", capture.Parked, 2)}
	twin := &asked{e: all[4].e}
	g := queueAppends(t, url, js, append(all, rival, twin))
	g.release(nil, nil)
	g.mustBeStored(t, all)
	if !errors.Is(rival.err, ledger.ErrConflict) {
		t.Errorf("the rival: %v, want a conflict", rival.err)
	}
	if twin.err != nil || twin.seq != all[4].seq {
		t.Errorf("the same event twice: %d, %v; want %d", twin.seq, twin.err, all[4].seq)
	}
}

func TestCancelQueuedAppend(t *testing.T) {
	t.Parallel()
	url, js := atomicServer(t)
	all := firsts(6)
	waiting, cancel := context.WithCancel(t.Context())
	all[2].ctx = waiting
	g := queueAppends(t, url, js, all)
	cancel()
	await(t, "the append left the queue", func() bool { return ledger.Queued(g.l) == len(all)-1 })
	g.release(nil, nil)
	if err := all[2].err; !errors.Is(err, context.Canceled) || errors.Is(err, ledger.ErrUncertain) {
		t.Errorf("cancelled before it was sent: %v", err)
	}
	if got := stored(t, g.direct, "t02"); got != "" {
		t.Errorf("cancelled before it was sent, and stored: %s", got)
	}
	g.mustBeStored(t, append(all[:2:2], all[3:]...))
}

func TestCancelAppendInBatchUnderWay(t *testing.T) {
	t.Parallel()
	url, js := atomicServer(t)
	all := firsts(6)
	waiting, cancel := context.WithCancel(t.Context())
	all[2].ctx = waiting
	g := queueAppends(t, url, js, all)
	g.release(nil, func(s string) processtest.Action {
		if strings.Contains(s, aBatchAck) {
			cancel()
			<-all[2].done
		}
		return processtest.Pass
	})
	if err := all[2].err; !errors.Is(err, context.Canceled) || !errors.Is(err, ledger.ErrUncertain) {
		t.Errorf("cancelled under way: %v, want ErrUncertain", err)
	}
	if got := stored(t, g.direct, "t02"); got != all[2].e.ID {
		t.Errorf("stored: %s", got)
	}
	g.mustBeStored(t, append(all[:2:2], all[3:]...))
}

func TestStreamWithoutBatches(t *testing.T) {
	t.Parallel()
	url := server(t).URL()
	js := connect(t, url)
	if _, err := js.CreateStream(t.Context(), suitable()); err != nil {
		t.Fatal(err)
	}
	ensure(t, js, ledger.StreamConfig{})
	l := ledger.SendBatches(ledger.NewJetStream(connect(t, url), ledger.Options{}))
	var wg sync.WaitGroup
	for _, a := range firsts(40) {
		wg.Go(func() {
			if _, err := l.Append(t.Context(), a.e, 0); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	stream, err := js.Stream(t.Context(), ledger.DefaultStream)
	if err != nil {
		t.Fatal(err)
	}
	if info := stream.CachedInfo(); info.State.Msgs != 40 || info.Config.AllowAtomicPublish {
		t.Errorf("%d events, batches allowed: %v; want 40, and the stream as it was", info.State.Msgs, info.Config.AllowAtomicPublish)
	}
}

func TestServerWithSmallBatchLimit(t *testing.T) {
	t.Parallel()
	s, err := natsd.NewServer(&natsd.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoSigs: true,
		JetStreamLimits: natsd.JSLimitOpts{MaxBatchSize: 5},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(processtest.Patience) {
		t.Fatal("the server did not start")
	}
	js := connect(t, s.ClientURL())
	ensure(t, js, ledger.StreamConfig{})
	all := firsts(20)
	g := queueAppends(t, s.ClientURL(), js, all)
	g.release(nil, nil)
	g.mustBeStored(t, all)
}

// TestServerRestartDuringBatch checks that after a stop of the server before its
// reply, the next one on the same store has each event once.
func TestServerRestartDuringBatch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := natsserver.Start(natsserver.Options{StoreDir: dir, SyncAlways: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(first.Shutdown)
	js := connect(t, first.URL())
	ensure(t, js, ledger.StreamConfig{})
	all := firsts(20)
	g := queueAppends(t, first.URL(), js, all)
	var second *natsserver.Server
	over := make(chan struct{})
	restart := sync.OnceFunc(func() {
		go func() {
			defer close(over)
			first.Shutdown()
			second, err = natsserver.Start(natsserver.Options{StoreDir: dir, Port: first.Port(), SyncAlways: true})
		}()
	})
	g.release(func(s string) processtest.Action {
		if strings.Contains(s, "Nats-Batch-Id") {
			restart()
		}
		return processtest.Pass
	}, nil)
	<-over
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(second.Shutdown)
	g.mustBeStored(t, all)
}

// TestFullQueue checks that appends beyond the limit of the queue are sent singly.
func TestFullQueue(t *testing.T) {
	t.Parallel()
	_, js := atomicServer(t)
	l := ledger.SendBatches(ledger.NewJetStream(js, ledger.Options{}))
	const n = ledger.MaxQueue + 200
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if _, err := l.Append(t.Context(), ledgertest.Event(fmt.Sprintf("t%d", i), capture.Attempted, 1), 0); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := len(walked(t, l)); got != n {
		t.Errorf("%d trades in the ledger, want %d", got, n)
	}
}

// asked is one of several appends, with its result.
type asked struct {
	e     capture.Event
	after uint64
	ctx   context.Context // nil: the test's
	done  chan struct{}
	seq   uint64
	err   error
}

func firsts(n int) []*asked {
	all := make([]*asked, n)
	for i := range all {
		all[i] = &asked{e: ledgertest.Event(fmt.Sprintf("t%02d", i), capture.Attempted, 1)}
	}
	return all
}

// queued is a ledger behind a proxy that holds back the reply to the first append,
// so that further ones queue.
type queued struct {
	l, direct *ledger.JetStream
	js        jetstream.JetStream // without the proxy
	p         *processtest.Proxy
	hold      chan struct{}
	wg        sync.WaitGroup
}

func queueAppends(t *testing.T, url string, js jetstream.JetStream, all []*asked) *queued {
	t.Helper()
	g := &queued{js: js, p: processtest.StartProxy(t, url), hold: make(chan struct{})}
	g.l = ledger.SendBatches(ledger.NewJetStream(connect(t, g.p.URL), ledger.Options{Timeout: time.Second, Bound: processtest.Patience}))
	g.direct = ledger.NewJetStream(js, ledger.Options{})
	if _, err := g.l.Append(t.Context(), ledgertest.Event("opener", capture.Attempted, 1), 0); err != nil {
		t.Fatal(err)
	}
	held := make(chan struct{})
	once := sync.OnceFunc(func() { close(held); <-g.hold })
	g.p.Lose(nil, func(s string) processtest.Action {
		if strings.Contains(s, aBatchAck) {
			once()
		}
		return processtest.Pass
	})
	g.wg.Go(func() {
		if _, err := g.l.Append(t.Context(), ledgertest.Event("holder", capture.Attempted, 1), 0); err != nil {
			t.Errorf("the first append: %v", err)
		}
	})
	<-held
	for i, a := range all {
		if a.ctx == nil {
			a.ctx = t.Context()
		}
		a.done = make(chan struct{})
		g.wg.Go(func() {
			defer close(a.done)
			a.seq, a.err = g.l.Append(a.ctx, a.e, a.after)
		})
		await(t, "the append is queued", func() bool { return ledger.Queued(g.l) == i+1 })
	}
	return g
}

// release passes the first reply on, and waits until all appends have returned.
func (g *queued) release(up, down func(string) processtest.Action) {
	g.p.Lose(up, down)
	close(g.hold)
	g.wg.Wait()
}

// batchOf returns the id of the batch in which an event was stored, or "".
func (g *queued) batchOf(t *testing.T, seq uint64) string {
	t.Helper()
	stream, err := g.js.Stream(t.Context(), ledger.DefaultStream)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := stream.GetMsg(t.Context(), seq)
	if err != nil {
		t.Fatal(err)
	}
	return msg.Header.Get("Nats-Batch-Id")
}

// mustBeStored checks that each event is stored once, at the returned sequence.
func (g *queued) mustBeStored(t *testing.T, all []*asked) {
	t.Helper()
	for _, a := range all {
		if a.err != nil {
			t.Errorf("%s: %v", a.e.ID, a.err)
			continue
		}
		last, _, err := g.direct.Last(t.Context(), a.e.TradeID)
		if err != nil || last.Seq != a.seq || last.Event.ID != a.e.ID {
			t.Errorf("%s at %d; the ledger has %s at %d, %v", a.e.ID, a.seq, last.Event.ID, last.Seq, err)
		}
		if got := stored(t, g.direct, a.e.TradeID); got != a.e.ID {
			t.Errorf("%s: stored %s", a.e.TradeID, got)
		}
	}
}

func atomicServer(t *testing.T) (string, jetstream.JetStream) {
	t.Helper()
	url := server(t).URL()
	js := connect(t, url)
	ensure(t, js, ledger.StreamConfig{})
	return url, js
}
