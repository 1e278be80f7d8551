//go:build unix

package cluster

import (
	"testing"

	"github.com/capture-worker/capture-worker/internal/processtest"
)

// patience bounds waits whose duration is not tested.
const patience = processtest.Patience

// startWorker starts `capture-worker run` and returns once it takes jobs.
func startWorker(t *testing.T, name string, env ...string) *processtest.Process {
	t.Helper()
	p := launchWorker(t, name, env...)
	p.Says(`msg="taking jobs"`, 1, patience)
	return p
}

// launchWorker starts `capture-worker run`.
func launchWorker(t *testing.T, name string, env ...string) *processtest.Process {
	t.Helper()
	all := append([]string{"CAPTURE_WORKER_NAME=" + name, "CAPTURE_ADMIN_LISTEN=127.0.0.1:0"}, env...)
	return processtest.Start(t, name, all, workerProgram, "run")
}
