//go:build unix

package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

// TestEmbeddedKeepsTheLedger is an acceptance test: `run --embedded` is all that a single machine needs. What it has
// acknowledged and written survives a stop, and a crash of the process.
func TestEmbeddedKeepsTheLedger(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	s := startSim(t, "--latency", "20ms")
	env := workerEnv(b, s, "CAPTURE_NATS_STORE_DIR="+b.dir, "CAPTURE_WORKER_CONCURRENCY=8")
	w := startWorker(t, "first", env, "--embedded")
	b.connect()
	orders := plain(t, "embedded", 60)
	place(b, s, orders[:20])
	b.waitDone(patience)
	shows(t, b, 0, "captured", orders[0].trade.TradeID)
	shows(t, b, 1, "the ledger has no trade", "unknown-trade")
	shows(t, b, 2, "not a trade id", "no.trade")
	w.Stop(patience)
	shows(t, b, 1, "connecting to NATS", orders[0].trade.TradeID)

	w = startWorker(t, "second", env, "--embedded")
	shows(t, b, 0, "captured", orders[0].trade.TradeID)
	before := s.calls()
	place(b, s, orders[20:])
	s.waitCalls(10, before)
	w.Kill()

	w = startWorker(t, "third", env, "--embedded")
	b.waitDone(patience)
	allCaptured(b, s, orders)
	sameAsTheLedger(t, b, modelReaches(t, b, filepath.Join(b.dir, "records.db")))
	w.Stop(patience)
}

// shows runs `capture-worker show` as an operator does.
func shows(t *testing.T, b *broker, code int, want, trade string) {
	t.Helper()
	got, out := processtest.Finish(t, patience, "show "+trade, []string{"CAPTURE_NATS_URL=" + b.url}, workerProgram, "show", trade)
	if got != code || !strings.Contains(out, want) {
		t.Errorf("show %s: exit code %d, want %d and %q in:\n%s", trade, got, code, want, out)
	}
}

// TestEmbeddedStoreIsNotShared is an acceptance test: two servers never share one store, whose files they would
// corrupt: the second says what is wrong and leaves the first in peace.
func TestEmbeddedStoreIsNotShared(t *testing.T) {
	t.Parallel()
	b, other := newBroker(t), newBroker(t)
	s := startSim(t)
	startWorker(t, "first", workerEnv(b, s, "CAPTURE_NATS_STORE_DIR="+b.dir), "--embedded")
	b.connect()
	for name, env := range map[string][]string{
		"same store":   workerEnv(other, s, "CAPTURE_NATS_STORE_DIR="+b.dir),
		"same address": workerEnv(b, s, "CAPTURE_NATS_STORE_DIR="+other.dir),
	} {
		code, out := processtest.Finish(t, patience, name, env, workerProgram, "run", "--embedded")
		if code != 1 || !strings.Contains(out, "another") {
			t.Errorf("%s: exit code %d, want 1 and a word about the other server:\n%s", name, code, out)
		}
	}
	s.authorize(gatewaytest.Trade{TradeID: "alone", Amount: money(t, "5.00", "EUR")})
	b.publish(jobsSubject, []byte(`{"trade_id":"alone","amount":"5.00","currency":"EUR"}`))
	b.waitDone(patience)
	shows(t, b, 0, "captured", "alone")
}
