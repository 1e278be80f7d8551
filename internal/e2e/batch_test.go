//go:build unix

package e2e

import (
	"fmt"
	"testing"
)

// A worker that gathers its appends into batches, since the server syncs each
// message, is killed in the middle of them: of a batch all is stored or
// nothing, and the next run finds out which.
func TestWorkerKilledWhileItGathers(t *testing.T) {
	t.Parallel()
	const kills, wave = 4, 300
	b := newBroker(t)
	b.syncs = true
	b.start()
	b.connect()
	s := startSim(t, "--faults", "rough", "--seed", "11", "--latency", "30ms")
	orders := mixed(t, "batch", kills*wave)
	env := workerEnv(b, s, "CAPTURE_WORKER_CONCURRENCY=128")
	startWorker(t, "streams", env).Stop(patience) // it creates the streams
	for i := range kills {
		place(b, s, orders[i*wave:(i+1)*wave]) // all at once, or too few are under way for a batch
		before := s.calls()
		w := startWorker(t, fmt.Sprintf("victim-%d", i), env)
		s.waitCalls(wave/2, before)
		w.Kill()
	}
	startWorker(t, "survivor", env)
	b.waitDone(patience)
	settled(b, s, orders)
	if n := takenOver(b, orders); n < kills {
		t.Errorf("%d trades were taken over in the middle of a call, want at least %d: the kills came between jobs", n, kills)
	}
	if n := b.batched(); n == 0 {
		t.Skip("no batch was stored: this disk syncs too fast for them to pay")
	}
}

// batched counts the events that were stored in batches.
func (b *broker) batched() int {
	b.t.Helper()
	n := 0
	for _, m := range b.messages("CAPTURES") {
		if m.Header.Get("Nats-Batch-Id") != "" {
			n++
		}
	}
	return n
}
