//go:build unix

package monitoring

import (
	"strings"
	"syscall"
	"testing"

	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
)

const (
	shippedStream = "CAPTURE_JOBS"
	consumerName  = "capture-worker"
)

// TestStreamsChangedWhileRunning checks that the worker ends with the reason for
// which it would not have started. The next start restores what a start can
// restore.
func TestStreamsChangedWhileRunning(t *testing.T) {
	t.Parallel()
	s := startSim(t)
	t.Run("a consumer that drops jobs", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, "drops", s)
		w.run()
		consumer, err := w.js.Consumer(t.Context(), shippedStream, consumerName)
		if err != nil {
			t.Fatal(err)
		}
		config := consumer.CachedInfo().Config
		config.MaxDeliver = 1
		if _, err := w.js.UpdateConsumer(t.Context(), shippedStream, config); err != nil {
			t.Fatal(err)
		}
		w.endsUnfit("after 1 deliveries the broker drops a job silently")
	})
	t.Run("a consumer that is gone", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, "gone", s)
		w.run()
		if err := w.js.DeleteConsumer(t.Context(), shippedStream, consumerName); err != nil {
			t.Fatal(err)
		}
		w.endsUnfit("consumer capture-worker is gone; the worker creates it when it starts")
		w.run()
		w.jobs(shipped, "gone", 3)
		w.waitCaptured(3)
		w.worker.Signal(syscall.SIGTERM)
		w.worker.EndsWell(patience)
	})
	t.Run("a ledger that is gone", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, "lost", s)
		w.run()
		w.sim.post("/_sim/trades", `{"trade_id":"waits","amount":"24.99","currency":"EUR","script":[`+strings.Repeat(`"error_before",`, 99)+`"error_before"]}`)
		w.send(shipped, plainJob("waits")) // the first job, not acknowledged when the others are
		w.jobs(shipped, "lost", 3)
		w.waitCaptured(3)
		if err := w.js.DeleteStream(t.Context(), ledger.DefaultStream); err != nil {
			t.Fatal(err)
		}
		w.endsUnfit("the ledger's stream CAPTURES is gone")
		code, out := processtest.Finish(t, patience, "run", w.env(), program, "run")
		if code != 1 || !strings.Contains(out, "the ledger's stream CAPTURES is missing, but consumer capture-worker has delivered jobs") {
			t.Errorf("a start without the ledger: exit code %d: %s", code, out)
		}
		code, out = processtest.Finish(t, patience, "run", w.env("CAPTURE_JOBS_SUBJECTS="+shipped, "CAPTURE_JOBS_LANES=live="+shipped), program, "run")
		if code != 1 || !strings.Contains(out, "is missing, but consumer capture-worker has delivered jobs") {
			t.Errorf("a start without the ledger, and with other lanes: exit code %d: %s", code, out)
		}
		if code, out := processtest.Finish(t, patience, "check", w.env(), program, "check"); code != 1 || !strings.Contains(out, "the ledger is missing, but consumer capture-worker has delivered jobs") || strings.Contains(out, "CAPTURES does not exist yet") {
			t.Errorf("check: exit code %d: %s", code, out)
		}
		if err := w.js.DeleteConsumer(t.Context(), shippedStream, consumerName); err != nil {
			t.Fatal(err)
		}
		w.run() // creates the streams again
		w.worker.Signal(syscall.SIGTERM)
		w.worker.EndsWell(patience)
	})
}

// endsUnfit waits until the worker ends by itself with the reason.
func (w *world) endsUnfit(reason string) {
	w.t.Helper()
	w.worker.Says("capture-worker: JetStream was changed under the worker", 1, patience)
	w.worker.Says(reason, 1, patience)
	if code := w.worker.Exit(patience); code != 1 {
		w.t.Errorf("exit code %d, want 1", code)
	}
}
