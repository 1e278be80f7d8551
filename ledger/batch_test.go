package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	natsd "github.com/nats-io/nats-server/v2/server"

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

func TestWhatGathersIsStoredTogether(t *testing.T) {
	t.Parallel()
	url, js := atomicServer(t)
	all := firsts(20)
	g := gather(t, url, js, all)
	g.goOn(nil, nil)
	g.mustBeStored(t, all)
	id := g.batchOf(t, all[0].seq)
	for i, a := range all {
		if a.seq != all[0].seq+uint64(i) {
			t.Errorf("event %d has place %d, the first has %d", i, a.seq, all[0].seq)
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

func TestABatchThatIsLostOnTheWay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		up, down func(string) deed
	}{
		{"not done, the commit is lost", once(aCommit, drop), nil},
		{"not done, the connection breaks", once(aCommit, cut), nil},
		{"not done, the first is lost", once("Nats-Batch-Sequence: 1\r", drop), nil},
		{"done, the answer is lost", nil, once(aBatchAck, drop)},
		{"done, the connection breaks before the answer", nil, once(aBatchAck, cut)},
		{"done, and every answer is lost", nil, always(anAck, drop)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			url, js := atomicServer(t)
			all := firsts(20)
			g := gather(t, url, js, all)
			g.goOn(c.up, c.down)
			g.mustBeStored(t, all)
		})
	}
}

// TestAConflictInABatch: each event has the end that it would have had alone.
func TestAConflictInABatch(t *testing.T) {
	t.Parallel()
	url, js := atomicServer(t)
	all := firsts(12)
	all[5].after = 1_000_000
	g := gather(t, url, js, all)
	other := ledgertest.Event("t08", capture.Parked, 9)
	if _, err := g.direct.Append(t.Context(), other, 0); err != nil {
		t.Fatal(err)
	}
	g.goOn(nil, nil)
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

// TestEventsOfOneTradeDoNotShareABatch: the server would store both.
func TestEventsOfOneTradeDoNotShareABatch(t *testing.T) {
	t.Parallel()
	url, js := atomicServer(t)
	all := firsts(6)
	rival := &asked{e: ledgertest.Event("t02", capture.Parked, 2)}
	twin := &asked{e: all[4].e}
	g := gather(t, url, js, append(all, rival, twin))
	g.goOn(nil, nil)
	g.mustBeStored(t, all)
	if !errors.Is(rival.err, ledger.ErrConflict) {
		t.Errorf("the rival: %v, want a conflict", rival.err)
	}
	if twin.err != nil || twin.seq != all[4].seq {
		t.Errorf("the same event twice: %d, %v; want %d", twin.seq, twin.err, all[4].seq)
	}
}

func TestLeavingABatch(t *testing.T) {
	t.Parallel()
	url, js := atomicServer(t)
	all := firsts(6)
	waits, leave := context.WithCancel(t.Context())
	all[2].ctx = waits
	g := gather(t, url, js, all)
	leave()
	await(t, "it left", func() bool { return ledger.Queued(g.l) == len(all)-1 })
	g.goOn(nil, nil)
	if err := all[2].err; !errors.Is(err, context.Canceled) || errors.Is(err, ledger.ErrUncertain) {
		t.Errorf("left before it was sent: %v", err)
	}
	if got := stored(t, g.direct, "t02"); got != "" {
		t.Errorf("left before it was sent, and stored: %s", got)
	}
	g.mustBeStored(t, append(all[:2:2], all[3:]...))
}

func TestLeavingABatchUnderWay(t *testing.T) {
	t.Parallel()
	url, js := atomicServer(t)
	all := firsts(6)
	waits, leave := context.WithCancel(t.Context())
	all[2].ctx = waits
	g := gather(t, url, js, all)
	g.goOn(nil, func(s string) deed {
		if strings.Contains(s, aBatchAck) {
			leave()
			<-all[2].told
		}
		return pass
	})
	if err := all[2].err; !errors.Is(err, context.Canceled) || !errors.Is(err, ledger.ErrUncertain) {
		t.Errorf("left while it was under way: %v, want uncertainty", err)
	}
	if got := stored(t, g.direct, "t02"); got != all[2].e.ID {
		t.Errorf("stored: %s", got)
	}
	g.mustBeStored(t, append(all[:2:2], all[3:]...))
}

func TestAStreamThatTakesNoBatches(t *testing.T) {
	t.Parallel()
	url := server(t).URL()
	js := connect(t, url)
	if _, err := js.CreateStream(t.Context(), fitting()); err != nil {
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

func TestAServerOfSmallBatches(t *testing.T) {
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
	g := gather(t, s.ClientURL(), js, all)
	g.goOn(nil, nil)
	g.mustBeStored(t, all)
}

// TestAServerThatGoesInTheMiddle: it takes the events and is gone before it can
// say so; its successor on the same store has all of them once.
func TestAServerThatGoesInTheMiddle(t *testing.T) {
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
	g := gather(t, first.URL(), js, all)
	var second *natsserver.Server
	over := make(chan struct{})
	restart := sync.OnceFunc(func() {
		go func() {
			defer close(over)
			first.Shutdown()
			second, err = natsserver.Start(natsserver.Options{StoreDir: dir, Port: first.Port(), SyncAlways: true})
		}()
	})
	g.goOn(func(s string) deed {
		if strings.Contains(s, "Nats-Batch-Id") {
			restart()
		}
		return pass
	}, nil)
	<-over
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(second.Shutdown)
	g.mustBeStored(t, all)
}

// TestMoreThanTheQueueHolds: those beyond go by themselves.
func TestMoreThanTheQueueHolds(t *testing.T) {
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
