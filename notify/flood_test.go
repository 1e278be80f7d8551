package notify_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger/ledgertest"
	"github.com/capture-worker/capture-worker/notify"
)

// gauge is a limiter that counts calls inside.
type gauge struct {
	mu           sync.Mutex
	inside, most int
}

func (g *gauge) Acquire(context.Context) (func(), error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside++
	g.most = max(g.most, g.inside)
	return func() { g.mu.Lock(); g.inside--; g.mu.Unlock() }, nil
}

func (g *gauge) Do(ctx context.Context, call func(context.Context) capture.Answer) capture.Answer {
	return call(ctx)
}

// 10,000 in a burst, half of them forged, the rest copies about 50 trades: each
// trade gets one event, is asked about once or twice, and of the gateway's
// places at most Workers are taken: the others stay with the captures.
func TestFloodNeitherBlocksNorGrows(t *testing.T) {
	turns := &gauge{}
	w := newWorld(t, func(c *notify.Config, _ *world) { c.Limiter, c.Workers = turns, 3 })
	const trades, requests = 50, 10_000
	bodies, forged := make([]string, trades), make([]string, trades)
	for i := range trades {
		trade := fmt.Sprintf("T%d", i)
		w.announced(trade, time.Now())
		bodies[i], forged[i] = signed(secret, data(trade, "paid")), signed("forger", data(trade, "failed"))
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	var senders sync.WaitGroup
	for s := range 100 {
		senders.Go(func() {
			for i := range requests / 100 {
				body := bodies[(s+i)%trades]
				if (s+i)%2 == 1 {
					body = forged[(s*7+i)%trades]
				}
				// A refusal for want of a place is sent again, as the gateway does.
				for w.post(body).Code == http.StatusServiceUnavailable {
					runtime.Gosched()
				}
			}
		})
	}
	senders.Wait()
	eventually(t, "all the notified trades are captured", func() bool {
		for i := 0; i < trades; i += 2 {
			if w.phase(fmt.Sprintf("T%d", i)) != capture.PhaseCaptured {
				return false
			}
		}
		return true
	})
	w.close()
	stats := w.handler.Stats()
	if stats.Forged.Load() != requests/2 || stats.Kept.Load() > trades || w.queries.Load() > 2*trades {
		t.Errorf("forged %d, kept %d, queries %d", stats.Forged.Load(), stats.Kept.Load(), w.queries.Load())
	}
	if turns.most > 3 {
		t.Errorf("%d places of the gateway were taken", turns.most)
	}
	if after := heap(); after > before+8<<20 {
		t.Errorf("the heap grew from %d to %d", before, after)
	}
}

// A full queue drops, and answers ok all the same: the evidence is there.
func TestAFullQueueDrops(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *notify.Config, w *world) {
		w.slow = make(chan struct{})
		c.Queue, c.Workers = 2, 1
	})
	for i := range 5 {
		trade := fmt.Sprintf("T%d", i)
		w.announced(trade, time.Now())
		w.want(w.post(signed(secret, data(trade, "paid"))), http.StatusOK)
		if w.count(trade, capture.Notified) != 1 {
			t.Error("no evidence")
		}
	}
	if dropped := w.handler.Stats().Dropped.Load(); dropped != 3 {
		t.Errorf("%d dropped, want 3", dropped)
	}
	close(w.slow)
	w.close()
}

// All places taken: 503 at once, and forgeries are still told apart.
func TestTooManyAtOnce(t *testing.T) {
	t.Parallel()
	hold, held := make(chan struct{}), make(chan struct{}, 10)
	w := newWorld(t, func(c *notify.Config, w *world) {
		c.Concurrency = 1
		w.ledger = ledgertest.Faulty{Ledger: w.ledger, Before: func(call ledgertest.Call) error {
			if call.Op == ledgertest.OpLoad && call.TradeID == "T1" {
				held <- struct{}{}
				<-hold
			}
			return nil
		}}
	})
	var first sync.WaitGroup
	first.Go(func() { w.want(w.post(signed(secret, data("T1", "paid"))), http.StatusOK) })
	<-held
	w.want(w.post(signed(secret, data("T2", "paid"))), http.StatusServiceUnavailable)
	w.want(w.post(signed("forger", data("T2", "paid"))), http.StatusUnauthorized)
	close(hold)
	first.Wait()
	w.want(w.post(signed(secret, data("T2", "paid"))), http.StatusOK)
	w.close()
}

// Close lets what is in work end, within its bound, and cuts it past it.
func TestCloseIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *notify.Config, w *world) { w.slow = make(chan struct{}) })
	w.announced("T1", time.Now())
	w.want(w.post(signed(secret, data("T1", "paid"))), http.StatusOK)
	eventually(t, "the query is under way", func() bool { return w.queries.Load() == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := w.handler.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("closing: %v", err)
	}
	w.want(w.post(signed(secret, data("T9", "paid"))), http.StatusOK) // still safe to call
	w.close()
}

// serve runs the real server on loopback until the test ends.
func serve(t *testing.T, w *world, limits notify.Limits) (address string, stop func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- notify.Serve(ctx, l, "/notify", w.handler, limits) }()
	return l.Addr().String(), func() error { cancel(); return <-ended }
}

func TestServeOverHTTP(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	address, stop := serve(t, w, notify.DefaultLimits())
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: processtest.Patience}
	w.announced("T1", time.Now())
	for path, status := range map[string]int{"/notify": http.StatusOK, "/": http.StatusNotFound, "/notify/x": http.StatusNotFound} {
		answer, err := client.Post("http://"+address+path, "application/json", strings.NewReader(signed(secret, data("T1", "paid"))))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != status || (status == http.StatusOK && string(body) != "ok") {
			t.Errorf("%s: %d %q, %v", path, answer.StatusCode, body, err)
		}
	}
	eventually(t, "captured", func() bool { return w.phase("T1") == capture.PhaseCaptured })
	if err := stop(); err != nil {
		t.Errorf("stopping: %v", err)
	}
	if _, err := net.Dial("tcp", address); err == nil {
		t.Error("it still listens")
	}
}

// Who sends slowly is cut off, and keeps no connection from others for long.
func TestSlowSendersAreCutOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	limits := notify.DefaultLimits()
	limits.ReadHeader, limits.Read, limits.Idle, limits.Connections = time.Second, 2*time.Second, time.Second, 2
	address, stop := serve(t, w, limits)
	for name, sent := range map[string]string{
		"nothing":     "",
		"half a head": "POST /notify HTTP/1.1\r\nHost: x\r\n",
		"half a body": "POST /notify HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{",
		"a long head": "POST /notify HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 64<<10),
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(processtest.Patience))
		io.WriteString(conn, sent) // may be cut off in the middle
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
			t.Errorf("%s: still connected after %s", name, processtest.Patience)
		}
		conn.Close()
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if s := w.handler.Stats(); s.Broken.Load() != 1 || s.Kept.Load() != 0 {
		t.Errorf("broken bodies %d, kept %d", s.Broken.Load(), s.Kept.Load())
	}
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}
