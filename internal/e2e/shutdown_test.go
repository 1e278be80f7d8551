//go:build unix

package e2e

import (
	"syscall"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
)

// longAckWait is longer than the tests that set it: what comes back at all was
// requeued.
const longAckWait = "CAPTURE_NATS_ACK_WAIT=5m"

// TestStopUnderLoadHandsJobsOver is an acceptance test: soft stop on SIGTERM: it exits with 0 within the shutdown
// timeout, and hands the jobs it holds to another worker at once, not only
// after the ack wait. Before that, two workers share the jobs.
func TestStopUnderLoadHandsJobsOver(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	s := startSim(t, "--latency", "300ms")
	env := workerEnv(b, s, longAckWait, "CAPTURE_WORKER_CONCURRENCY=8")
	leaver := startWorker(t, "leaver", env)
	stayer := startWorker(t, "stayer", env)
	orders := plain(t, "stop", 200)
	place(b, s, orders)
	s.waitCalls(40, 0)
	leaver.Stop(patience)
	if info, err := b.consumer(jobsStream); err != nil || info.NumPending+uint64(info.NumAckPending) == 0 {
		t.Errorf("nothing was left to hand over (%v): the test stops too late", err)
	}
	b.waitDone(patience)
	allCaptured(b, s, orders)
	shares := map[string]int{}
	for _, o := range orders {
		events := b.events(o.trade.TradeID)
		shares[events[len(events)-1].Worker]++
	}
	if shares["leaver"] < 10 || shares["stayer"] < 10 {
		t.Errorf("the workers captured %v, want a share each", shares)
	}
	stayer.Stop(patience)
}

// TestStopWithHangingGateway is an acceptance test: worker.shutdown_timeout bounds the stop also when the gateway
// hangs for longer. Its exit code says that jobs were cut short; they lose
// nothing by that and end with one outcome that is true.
func TestStopWithHangingGateway(t *testing.T) {
	t.Parallel()
	b, s := startBroker(t), startSim(t)
	hanging := workerEnv(b, s, longAckWait, "CAPTURE_WORKER_CONCURRENCY=8",
		"CAPTURE_GATEWAY_TIMEOUT=2s", "CAPTURE_RECONCILE_SETTLE=2500ms", "CAPTURE_WORKER_SHUTDOWN_TIMEOUT=3s")
	w := startWorker(t, "stuck", hanging)
	orders := plain(t, "stuck", 20)
	for i := range orders {
		orders[i].trade.Script = []gatewaytest.Step{{Fault: gatewaytest.HangAfter}}
	}
	place(b, s, orders)
	s.waitCalls(8, 0)
	w.Signal(syscall.SIGTERM)
	if code := w.Exit(patience); code != 0 || w.Out.Count("shutdown timeout exceeded") != 1 {
		t.Errorf("exit code %d, want 0 and a word about the jobs that were still in flight", code)
	}
	if n := b.eventTypes(); n[capture.Failed]+n[capture.Parked] > 0 {
		t.Errorf("the stop failed %d trades and parked %d", n[capture.Failed], n[capture.Parked])
	}
	startWorker(t, "next", hanging)
	b.waitDone(patience)
	allCaptured(b, s, orders)
}
