//go:build unix

package e2e

import (
	"testing"

	"github.com/capture-worker/capture-worker/internal/processtest"
)

// patience bounds every wait here, a stop's too: that worker.shutdown_timeout
// bounds a stop is seen by what the worker says.
const patience = processtest.Patience

// necessary is the environment that design and README promise to be enough.
// Metrics go to a free port, because tests run side by side.
func necessary(b *broker, s *sim) []string {
	return []string{
		"CAPTURE_NATS_URL=" + b.url, "CAPTURE_GATEWAY_URL=" + s.url,
		"CAPTURE_GATEWAY_NOTIFY_URL=https://shop.example/notify", "CAPTURE_GATEWAY_USER=" + simUser, "CAPTURE_GATEWAY_SECRET_KEY=" + simSecret,
		"CAPTURE_ADMIN_LISTEN=127.0.0.1:0",
	}
}

// workerEnv is the environment of a worker with scaled times. Of a variable
// that is given twice, the last counts.
func workerEnv(b *broker, s *sim, more ...string) []string {
	return append(append(necessary(b, s), processtest.ScaledTimes()...), more...)
}

const (
	saysStarted = `msg="taking jobs"`
	saysHalted  = `level=ERROR msg="job intake paused, probing`
	saysProbed  = `level=ERROR msg="gateway still unavailable"`
	saysResumed = `msg="job intake resumed`
)

// startWorker starts `capture-worker run` and returns once it takes jobs. Its
// name is what the ledger calls it.
func startWorker(t *testing.T, name string, env []string, flags ...string) *processtest.Process {
	t.Helper()
	env = append(env, "CAPTURE_WORKER_NAME="+name)
	p := processtest.Start(t, name, env, workerProgram, append([]string{"run"}, flags...)...)
	p.Says(saysStarted, 1, patience)
	return p
}
