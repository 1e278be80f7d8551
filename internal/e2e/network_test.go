//go:build unix

package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
)

// gatewayLine lays a line to the simulator, and returns the environment of a
// worker that uses it.
func gatewayLine(t *testing.T, s *sim) (*line, string) {
	t.Helper()
	u, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	n := startLine(t, u.Host)
	u.Host = n.address
	return n, "CAPTURE_GATEWAY_URL=" + u.String()
}

func natsLine(t *testing.T, b *broker) (*line, string) {
	t.Helper()
	n := startLine(t, strings.TrimPrefix(b.url, "nats://"))
	return n, "CAPTURE_NATS_URL=nats://" + n.address
}

// stay lets time pass while something is broken: here the length of the trouble
// is the test.
func stay(d time.Duration) { <-time.After(d) }

// TestGatewayLineCut is an acceptance test: the network between worker and gateway gets stuck for longer than
// a call's timeout, so that calls arrive late, then is cut: every trade ends
// with one outcome that is true.
func TestGatewayLineCut(t *testing.T) {
	t.Parallel()
	b, s := startBroker(t), startSim(t, "--faults", "rough", "--seed", "4", "--latency", "50ms")
	n, env := gatewayLine(t, s)
	w := startWorker(t, "w", workerEnv(b, s, "CAPTURE_WORKER_CONCURRENCY=8", env))
	orders := mixed(t, "line", 150)
	for i, trouble := range []struct {
		state lineState
		lasts time.Duration
	}{{lineStuck, 1300 * time.Millisecond}, {lineCut, time.Second}, {lineStuck, 3 * time.Second}} {
		before := s.calls()
		place(b, s, orders[i*50:(i+1)*50])
		s.waitCalls(10, before)
		n.set(trouble.state)
		stay(trouble.lasts)
		// What was held for longer than the settle time must not arrive: no
		// client can survive a network that delivers at any time.
		if trouble.lasts > processtest.Policy.Settle {
			n.set(lineCut)
		}
		n.set(lineUp)
	}
	b.waitDone(patience)
	settled(b, s, orders)
	w.Stop(patience)
}

// TestBrokerLineStuckBeyondTheLease is an acceptance test: a worker's network to NATS is stuck for longer than its ack wait
// and its leases, while another works. Then all that it had sent arrives late:
// acks, in-progress signals and appends. No trade is captured twice.
func TestBrokerLineStuckBeyondTheLease(t *testing.T) {
	t.Parallel()
	b, s := startBroker(t), startSim(t, "--faults", "rough", "--seed", "6", "--latency", "100ms")
	n, env := natsLine(t, b)
	stuck := startWorker(t, "stuck", workerEnv(b, s, "CAPTURE_WORKER_CONCURRENCY=16", env))
	orders := mixed(t, "stuck", 100)
	place(b, s, orders)
	s.waitCalls(15, 0)
	n.set(lineStuck)
	startWorker(t, "other", workerEnv(b, s, "CAPTURE_WORKER_CONCURRENCY=16"))
	b.waitDone(patience)
	if takenOver(b, orders) == 0 {
		t.Error("no trade was taken over: nothing was in flight when the line got stuck")
	}
	n.set(lineUp)
	more := plain(t, "more", 40)
	place(b, s, more)
	b.waitDone(patience)
	stuck.Stop(patience)
	settled(b, s, append(orders, more...))
}

// TestBrokerLineCut is an acceptance test: the worker's network to NATS is cut under load: it reconnects and
// finishes.
func TestBrokerLineCut(t *testing.T) {
	t.Parallel()
	b, s := startBroker(t), startSim(t, "--faults", "rough", "--seed", "8", "--latency", "50ms")
	n, env := natsLine(t, b)
	w := startWorker(t, "w", workerEnv(b, s, "CAPTURE_WORKER_CONCURRENCY=8", env))
	orders := mixed(t, "cut", 90)
	for i := range 3 {
		before := s.calls()
		place(b, s, orders[i*30:(i+1)*30])
		s.waitCalls(10, before)
		n.set(lineCut)
		w.Says("connection to NATS lost", i+1, patience)
		stay(500 * time.Millisecond)
		n.set(lineUp)
		w.Says("reconnected to NATS", i+1, patience)
	}
	b.waitDone(patience)
	settled(b, s, orders)
	w.Stop(patience)
}

// roomFor is the ledger's stream, made by an operator, that is full after
// so many bytes and then refuses, as the worker demands.
func roomFor(bytes int64) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: ledger.DefaultStream, Subjects: []string{"captures.*.*"}, Storage: jetstream.FileStorage,
		MaxAge: ledger.DefaultMaxAge, Discard: jetstream.DiscardNew, MaxBytes: bytes,
		AllowDirect: true, DenyDelete: true, DenyPurge: true, Duplicates: time.Second,
	}
}

// TestLedgerFull is an acceptance test: the ledger's stream is full: no call is made that is not written
// down first, no job is acked without its outcome, nothing is lost; when there
// is room again the worker continues by itself.
func TestLedgerFull(t *testing.T) {
	t.Parallel()
	b, s := startBroker(t), startSim(t, "--latency", "50ms")
	if _, err := b.js.CreateStream(t.Context(), roomFor(40<<10)); err != nil {
		t.Fatal(err)
	}
	w := startWorker(t, "w", workerEnv(b, s, "CAPTURE_WORKER_CONCURRENCY=8", "CAPTURE_ADMIN_LISTEN=127.0.0.1:0"))
	admin := w.Finds(`serving metrics and health.*address=(\S+)`, patience)
	orders := plain(t, "full", 120)
	place(b, s, orders)
	w.Says("ledger accepts no events, worker not ready", 1, patience)
	if ready, live := health(t, admin, "readyz"), health(t, admin, "livez"); ready != http.StatusServiceUnavailable || live != http.StatusOK {
		t.Errorf("with a full ledger: /readyz %d, /livez %d", ready, live)
	}
	w.Says("processing failed, job requeued", 1, patience)
	captures := s.stats().Captures
	types := b.eventTypes()
	if int(captures) > types[capture.Attempted] {
		t.Errorf("%d capture calls, %d are announced in the ledger", captures, types[capture.Attempted])
	}
	info, err := b.consumer(jobsStream)
	if err != nil {
		t.Fatal(err)
	}
	acked := len(orders) - int(info.NumPending) - info.NumAckPending
	if acked > types[capture.Captured] || acked == len(orders) {
		t.Errorf("%d of %d jobs are acked with %d outcomes in a full ledger", acked, len(orders), types[capture.Captured])
	}
	if _, err := b.js.UpdateStream(t.Context(), roomFor(-1)); err != nil {
		t.Fatal(err)
	}
	b.waitDone(patience)
	allCaptured(b, s, orders)
	w.Says("ledger accepts events again", 1, patience)
	if ready := health(t, admin, "readyz"); ready != http.StatusOK {
		t.Errorf("with room in the ledger again: /readyz %d", ready)
	}
	w.Stop(patience)
}

// health returns the status of a path of the admin listener.
func health(t *testing.T, address, path string) int {
	t.Helper()
	answer, err := http.Get("http://" + address + "/" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode
}
