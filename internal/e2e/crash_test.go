//go:build unix

package e2e

import (
	"fmt"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
)

// TestWorkerKilledTenTimes is an acceptance test: kill -9 in the middle of a run, restarted ten times, hostile
// faults: every job ends with one outcome that agrees with the gateway's truth,
// and no trade is captured twice.
func TestWorkerKilledTenTimes(t *testing.T) {
	t.Parallel()
	const kills, wave = 10, 30
	b := startBroker(t)
	s := startSim(t, "--faults", "hostile", "--seed", "7", "--latency", "50ms")
	orders := mixed(t, "kill", kills*wave)
	env := workerEnv(b, s, "CAPTURE_WORKER_CONCURRENCY=8")
	for i := range kills {
		w := startWorker(t, fmt.Sprintf("victim-%d", i), env)
		before := s.calls()
		place(b, s, orders[i*wave:(i+1)*wave])
		s.waitCalls(15, before)
		w.Kill()
	}
	startWorker(t, "survivor", env)
	b.waitDone(patience)
	report := settled(b, s, orders)
	if report.Trades != kills*wave {
		t.Errorf("%d trades were audited, want %d", report.Trades, kills*wave)
	}
	if n := takenOver(b, orders); n < kills {
		t.Errorf("%d trades were taken over in the middle of a call, want at least %d: the kills came between jobs", n, kills)
	}
}

// TestBrokerKilledUnderLoad is an acceptance test: nats-server killed and restarted under load: the worker
// reconnects and finishes; nothing is lost or doubled.
func TestBrokerKilledUnderLoad(t *testing.T) {
	t.Parallel()
	const kills, wave = 3, 60
	b := startBroker(t)
	s := startSim(t, "--faults", "rough", "--seed", "5", "--latency", "50ms")
	w := startWorker(t, "w", workerEnv(b, s, "CAPTURE_WORKER_CONCURRENCY=8"))
	orders := mixed(t, "broker", kills*wave)
	for i := range kills {
		before := s.calls()
		place(b, s, orders[i*wave:(i+1)*wave])
		s.waitCalls(15, before)
		b.process.Kill()
		w.Says("connection to NATS lost", i+1, patience)
		b.start()
		w.Says("reconnected to NATS", i+1, patience)
	}
	b.waitDone(patience)
	settled(b, s, orders)
	w.Stop(patience)
}

// TestWorkerPausedBeyondItsLease is an acceptance test: no trade captured twice, whatever happens to a worker. Here one
// sleeps through its ack wait and its leases, wakes with its calls in flight, and
// finds that another has gone on without it.
func TestWorkerPausedBeyondItsLease(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	s := startSim(t, "--faults", "hostile", "--seed", "3", "--latency", "200ms")
	env := workerEnv(b, s, "CAPTURE_WORKER_CONCURRENCY=16")
	sleeper := startWorker(t, "sleeper", env)
	orders := mixed(t, "pause", 100)
	place(b, s, orders)
	s.waitCalls(20, 0)
	sleeper.Pause()
	startWorker(t, "awake", env)
	// The other takes everything over, which it may do only once the sleeper's
	// leases are over: the audit looks at that.
	b.waitDone(patience)
	if takenOver(b, orders) == 0 {
		t.Error("no trade was taken over in the middle of a call: the worker was paused between jobs")
	}
	sleeper.Resume()
	more := plain(t, "more", 40)
	place(b, s, more)
	b.waitDone(patience)
	sleeper.Stop(patience)
	settled(b, s, append(orders, more...))
}

// TestRedeliveryOfFinishedJobsCallsNobody is an acceptance test: one outcome stands per job, also where outcomes were written,
// but the broker never heard of it: the redelivered jobs are only acked.
func TestRedeliveryOfFinishedJobsCallsNobody(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	s := startSim(t)
	orders := plain(t, "again", 20)
	first := startWorker(t, "first", workerEnv(b, s))
	place(b, s, orders)
	b.waitDone(patience)
	first.Stop(patience)
	// The consumer is lost with its memory of what was acked.
	if err := b.js.DeleteConsumer(t.Context(), jobsStream, consumerName); err != nil {
		t.Fatal(err)
	}
	before := s.calls()
	second := startWorker(t, "second", workerEnv(b, s))
	b.waitDone(patience)
	second.Stop(patience)
	// A first delivery announces its call without looking first; the ledger
	// refuses the announcement, and nothing is called.
	if after := s.calls(); after != before {
		t.Errorf("%d calls were made for trades that are captured", after-before)
	}
	allCaptured(b, s, orders)
	if n := b.eventTypes()[capture.Attempted]; n != len(orders) {
		t.Errorf("%d calls are announced in the ledger, want %d", n, len(orders))
	}
}
