//go:build unix

package processtest

import (
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// SimScale is the time scale of the simulated gateway for ScaledTimes.
const SimScale = 0.02

// Policy is the policy of a worker with ScaledTimes. A lost call is settled about
// ten seconds after it began: the lease is two timeouts and five seconds.
var Policy = capture.Policy{Settle: 1500 * time.Millisecond, Agree: 2, Spacing: 200 * time.Millisecond, GiveUpAfter: 72 * time.Hour,
	Final: 3 * time.Second, AnswersFor: 3 * time.Second}

// ScaledTimes is the environment of a worker with times scaled down as in the demo.
func ScaledTimes() []string {
	return []string{
		"CAPTURE_GATEWAY_TIMEOUT=1s",
		"CAPTURE_RECONCILE_SETTLE=1500ms", "CAPTURE_RECONCILE_SPACING=200ms", "CAPTURE_RECONCILE_FINAL=3s",
		"CAPTURE_WORKER_BACKOFF_INITIAL=50ms", "CAPTURE_WORKER_BACKOFF_MAX=500ms", "CAPTURE_WORKER_BACKOFF_INLINE=2s",
		"CAPTURE_WORKER_RETRY_INITIAL=500ms", "CAPTURE_WORKER_RETRY_MAX=2s",
		"CAPTURE_WORKER_PROBE_INTERVAL=200ms", "CAPTURE_WORKER_SHUTDOWN_TIMEOUT=10s",
		"CAPTURE_NATS_ACK_WAIT=3s",
	}
}
