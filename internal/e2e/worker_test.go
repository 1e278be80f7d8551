//go:build unix

package e2e

import (
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// The workers' times are scaled down, as the demo's are; policy is what they
// come to. A lost call is settled some ten seconds after it began: the lease
// is two timeouts and five seconds.
var policy = capture.Policy{Settle: 1500 * time.Millisecond, Agree: 2, Spacing: 200 * time.Millisecond, GiveUpAfter: 72 * time.Hour}

const (
	shutdownTimeout = 10 * time.Second
	probeInterval   = 200 * time.Millisecond
)

func scaledTimes() []string {
	return []string{
		"CAPTURE_GATEWAY_TIMEOUT=1s",
		"CAPTURE_RECONCILE_SETTLE=1500ms", "CAPTURE_RECONCILE_SPACING=200ms",
		"CAPTURE_WORKER_BACKOFF_INITIAL=50ms", "CAPTURE_WORKER_BACKOFF_MAX=500ms", "CAPTURE_WORKER_BACKOFF_INLINE=2s",
		"CAPTURE_WORKER_RETRY_INITIAL=500ms", "CAPTURE_WORKER_RETRY_MAX=2s",
		"CAPTURE_WORKER_PROBE_INTERVAL=200ms", "CAPTURE_WORKER_SHUTDOWN_TIMEOUT=10s",
		"CAPTURE_NATS_ACK_WAIT=3s",
	}
}

// necessary is the environment that design and README promise to be enough.
// Metrics go to a free port, because tests run side by side.
func necessary(b *broker, s *sim) []string {
	return []string{
		"CAPTURE_NATS_URL=" + b.url, "CAPTURE_GATEWAY_URL=" + s.url,
		"CAPTURE_GATEWAY_USER=" + simUser, "CAPTURE_GATEWAY_SECRET_KEY=" + simSecret,
		"CAPTURE_ADMIN_LISTEN=127.0.0.1:0",
	}
}

// workerEnv is the environment of a worker with scaled times. Of a variable
// that is given twice, the last counts.
func workerEnv(b *broker, s *sim, more ...string) []string {
	return append(append(necessary(b, s), scaledTimes()...), more...)
}

const (
	saysStarted = `msg="taking jobs"`
	saysHalted  = `level=ERROR msg="stopped taking jobs`
	saysProbed  = `level=ERROR msg="the gateway is still not usable"`
	saysResumed = `msg="taking jobs again`
)

// startWorker starts `capture-worker run` and returns once it takes jobs. Its
// name is what the ledger calls it.
func startWorker(t *testing.T, name string, env []string, flags ...string) *process {
	t.Helper()
	env = append(env, "CAPTURE_WORKER_NAME="+name)
	p := start(t, name, env, workerProgram, append([]string{"run"}, flags...)...)
	p.says(saysStarted, 1, patience)
	return p
}
