//go:build unix

package e2e

import (
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

// TestOrderQueryFarBehind is an acceptance test: every first call takes effect and its answer is lost, and Order
// Query is far more behind than the settle time; the deadline of every second job
// passes meanwhile. Nothing is failed that was paid, and nothing is captured
// twice: all are captured once Order Query has caught up.
func TestOrderQueryFarBehind(t *testing.T) {
	processtest.Long(t)
	t.Parallel()
	b, s := startBroker(t), startSim(t, "--query-lag", "6s")
	w := startWorker(t, "w", workerEnv(b, s, "CAPTURE_RECONCILE_FINAL=20s"))
	orders := plain(t, "lag", 40)
	for i := range orders {
		orders[i].trade.Script = []gatewaytest.Step{{Fault: gatewaytest.ResetAfter}}
		if i%2 == 0 {
			orders[i].jobs[0].CaptureBefore = time.Now().Add(4 * time.Second).UTC()
		}
	}
	place(b, s, orders)
	b.waitDone(patience)
	allCaptured(b, s, orders)
	w.Stop(patience)
}
