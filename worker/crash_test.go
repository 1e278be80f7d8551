package worker_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/worker"
)

// bomb kills the worker at its n-th crossing of a boundary. Every call has
// two: before it is made, and after it was made but before its result is seen.
type bomb struct {
	at, crossed int
	where       string
}

func (b *bomb) cross(where string) {
	b.crossed++
	if b.crossed == b.at {
		b.where = where
		panic(errCrash)
	}
}

type crashingLedger struct {
	ledger.Ledger
	bomb *bomb
}

func (l crashingLedger) Append(ctx context.Context, e capture.Event, after uint64, opts ...ledger.AppendOption) (uint64, error) {
	l.bomb.cross("before appending " + string(e.Type))
	seq, err := l.Ledger.Append(ctx, e, after, opts...)
	l.bomb.cross("after appending " + string(e.Type))
	return seq, err
}

type crashingGateway struct {
	worker.Gateway
	bomb *bomb
}

func (g crashingGateway) Capture(ctx context.Context, r gateway.CaptureRequest) capture.Answer {
	g.bomb.cross("before the capture call")
	a := g.Gateway.Capture(ctx, r)
	g.bomb.cross("after the capture call")
	return a
}

func (g crashingGateway) Query(ctx context.Context, tradeID string) capture.Answer {
	g.bomb.cross("before the query")
	a := g.Gateway.Query(ctx, tradeID)
	g.bomb.cross("after the query")
	return a
}

// crash delivers the job to a worker that dies at the n-th boundary. It
// reports where, "" when the job ended before.
func (w *world) crash(n int) (where string) {
	b := &bomb{at: n}
	p := w.processor("doomed")
	p.Recorder.Ledger = crashingLedger{w.ledger, b}
	p.Gateway = crashingGateway{w.gateway, b}
	defer func() {
		if broke := recover(); broke != nil && broke != any(errCrash) {
			panic(broke)
		}
		where = b.where
	}()
	w.redeliver(p, job, true)
	return ""
}

// A worker dies at every boundary there is; the next delivery continues from
// there, one capture takes effect and is written down.
func TestCrashAtEveryBoundary(t *testing.T) {
	t.Parallel()
	scripts := map[string][]string{
		"calm":           nil,
		"error, effect":  {"-1000 after"},
		"error, nothing": {"-1000 before"},
		"lost, effect":   {"timeout after"},
		"lost, nothing":  {"timeout before"},
		"errors, new id": {"-1000 before", "-1000 before", "-1000 before"},
	}
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			points := 0
			for n, where := 1, "start"; where != ""; n++ {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					w.gateway.script = append([]string(nil), script...)
					where = w.crash(n)
					w.survive(fmt.Sprintf("crash %d, %s", n, where))
				})
				points++
			}
			if points < 5 {
				t.Errorf("only %d crash points were met", points)
			}
		})
	}
}

// survive has the job delivered again to a worker that lives, and checks the
// end.
func (w *world) survive(what string) {
	w.t.Helper()
	if d := w.redeliver(w.processor("heir"), job, false); d.Do != worker.Ack {
		w.t.Errorf("%s: the job ended with %+v", what, d)
	}
	events := w.events("T1")
	last := events[len(events)-1]
	if last.Type != capture.Captured || len(w.gateway.effects) != 1 {
		w.t.Errorf("%s: the ledger ends with %s, %d captures took effect", what, last.Type, len(w.gateway.effects))
	}
	outcomes := 0
	for _, e := range events {
		if e.Type.Outcome() {
			outcomes++
		}
	}
	if outcomes != 1 {
		w.t.Errorf("%s: %d outcomes, want one", what, outcomes)
	}
}
