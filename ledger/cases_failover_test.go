package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/natsserver"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
)

// caseFailover is a replicated ledger with its cases.
type caseFailover struct {
	t      *testing.T
	js     jetstream.JetStream
	l      *ledger.JetStream
	parked []string
}

func newCaseFailover(t *testing.T, c *natsserver.Cluster) *caseFailover {
	t.Helper()
	js := connect(t, c.URL())
	ensure(t, js, ledger.StreamConfig{Replicas: 3})
	f := &caseFailover{t: t, js: js, l: ledger.NewJetStream(js, ledger.Options{Bound: processtest.Patience})}
	f.park(5) // the past
	processtest.WaitFor(t, processtest.Patience, "the stream of cases", func() bool {
		found, err := ledger.EnsureCases(t.Context(), js, ledger.StreamConfig{Replicas: 3})
		return err == nil && len(found) == 0
	})
	return f
}

// park parks trades; an append whose end is not known is repeated.
func (f *caseFailover) park(n int) {
	f.t.Helper()
	for range n {
		trade := fmt.Sprintf("T%d", len(f.parked))
		e := capture.Event{ID: "E" + trade, Type: capture.Parked, TradeID: trade, Time: time.Now()}
		processtest.WaitFor(f.t, processtest.Patience, "an append", func() bool {
			_, err := f.l.Append(f.t.Context(), e, 0)
			if err != nil && !errors.Is(err, ledger.ErrUncertain) && f.t.Context().Err() != nil {
				f.t.Fatal(err)
			}
			return err == nil
		})
		f.parked = append(f.parked, trade)
	}
}

// complete waits until the cases name every parked trade, each once.
func (f *caseFailover) complete(after string) {
	f.t.Helper()
	began := time.Now()
	var got []string
	processtest.WaitFor(f.t, processtest.Patience, "all cases after "+after, func() bool {
		ctx, cancel := context.WithTimeout(f.t.Context(), processtest.Patience/4)
		defer cancel()
		got = nil
		for trade, err := range f.l.Cases("").Parked(ctx, 0) {
			if err != nil {
				return false
			}
			got = append(got, trade.TradeID)
		}
		return len(got) >= len(f.parked)
	})
	if !slices.Equal(got, f.parked) {
		f.t.Fatalf("after %s the cases are %v, want %v", after, got, f.parked)
	}
	f.t.Logf("after %s the cases were complete within %s", after, time.Since(began).Round(time.Millisecond))
}

// leader returns the index of the server that leads a stream.
func (f *caseFailover) leader(c *natsserver.Cluster, stream string) (at int) {
	f.t.Helper()
	processtest.WaitFor(f.t, processtest.Patience, "a leader of "+stream, func() bool {
		s, err := f.js.Stream(f.t.Context(), stream)
		if err != nil || s.CachedInfo().Cluster == nil {
			return false
		}
		at = slices.IndexFunc(c.Servers, func(n *natsserver.Server) bool { return n.Name() == s.CachedInfo().Cluster.Leader })
		return at >= 0
	})
	return at
}

// However the leaders of the ledger and of its cases change, every case is copied,
// once.
func TestCasesThroughLeaderChanges(t *testing.T) {
	processtest.Long(t)
	t.Parallel()
	c := cluster(t)
	f := newCaseFailover(t, c)
	f.complete("the start")
	for _, stream := range []string{ledger.DefaultCases, ledger.DefaultStream} {
		stepDown(t, f.js.Conn(), stream)
		f.park(5)
		f.complete("a new leader of " + stream)
		lost := f.leader(c, stream)
		c.Servers[lost].Shutdown()
		f.park(5)
		f.complete("the loss of the leader of " + stream)
		if err := c.Restart(lost); err != nil {
			t.Fatal(err)
		}
		f.park(5)
		f.complete("the return of a server")
	}
}

// A server that is alone goes and comes back.
func TestCasesThroughARestart(t *testing.T) {
	processtest.Long(t)
	t.Parallel()
	dir, port := t.TempDir(), processtest.FreePort(t)
	start := func() *natsserver.Server {
		s, err := natsserver.Start(natsserver.Options{StoreDir: dir, Port: port})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := start()
	js := connect(t, s.URL())
	ensure(t, js, ledger.StreamConfig{})
	f := &caseFailover{t: t, js: js, l: ledger.NewJetStream(js, ledger.Options{Bound: processtest.Patience})}
	f.park(3)
	if _, err := ledger.EnsureCases(t.Context(), js, ledger.StreamConfig{}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		f.park(3)
		s.Shutdown()
		s = start()
		f.park(3)
		f.complete("a restart")
	}
	s.Shutdown()
}
