package ledger_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/ledger/ledgertest"
)

// asked is one append of many, and what it was told.
type asked struct {
	e     capture.Event
	after uint64
	ctx   context.Context // nil: the test's
	told  chan struct{}
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

// gathering is a ledger behind a proxy, whose server is slow to answer the
// first append, so that others gather.
type gathering struct {
	l, direct *ledger.JetStream
	js        jetstream.JetStream // past the proxy
	p         *proxy
	release   chan struct{}
	wg        sync.WaitGroup
}

func gather(t *testing.T, url string, js jetstream.JetStream, all []*asked) *gathering {
	t.Helper()
	g := &gathering{js: js, p: startProxy(t, url), release: make(chan struct{})}
	g.l = ledger.SendBatches(ledger.NewJetStream(connect(t, g.p.url), ledger.Options{Timeout: time.Second, Bound: processtest.Patience}))
	g.direct = ledger.NewJetStream(js, ledger.Options{})
	if _, err := g.l.Append(t.Context(), ledgertest.Event("opener", capture.Attempted, 1), 0); err != nil {
		t.Fatal(err)
	}
	held := make(chan struct{})
	once := sync.OnceFunc(func() { close(held); <-g.release })
	g.p.lose(nil, func(s string) deed {
		if strings.Contains(s, aBatchAck) {
			once()
		}
		return pass
	})
	g.wg.Go(func() {
		if _, err := g.l.Append(t.Context(), ledgertest.Event("holder", capture.Attempted, 1), 0); err != nil {
			t.Errorf("the append that others wait for: %v", err)
		}
	})
	<-held
	for i, a := range all {
		if a.ctx == nil {
			a.ctx = t.Context()
		}
		a.told = make(chan struct{})
		g.wg.Go(func() {
			defer close(a.told)
			a.seq, a.err = g.l.Append(a.ctx, a.e, a.after)
		})
		await(t, "it waits for its batch", func() bool { return ledger.Queued(g.l) == i+1 })
	}
	return g
}

// goOn lets the first answer through, and waits until all have theirs.
func (g *gathering) goOn(up, down func(string) deed) {
	g.p.lose(up, down)
	close(g.release)
	g.wg.Wait()
}

// batchOf is the id of the batch that an event was stored with, "" for none.
func (g *gathering) batchOf(t *testing.T, seq uint64) string {
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

// mustBeStored: each event is in the ledger once, at the place that was told.
func (g *gathering) mustBeStored(t *testing.T, all []*asked) {
	t.Helper()
	for _, a := range all {
		if a.err != nil {
			t.Errorf("%s: %v", a.e.ID, a.err)
			continue
		}
		last, _, err := g.direct.Last(t.Context(), a.e.TradeID)
		if err != nil || last.Seq != a.seq || last.Event.ID != a.e.ID {
			t.Errorf("%s at %d; in the ledger stands %s at %d, %v", a.e.ID, a.seq, last.Event.ID, last.Seq, err)
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
