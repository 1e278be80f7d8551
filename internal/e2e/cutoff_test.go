//go:build unix

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/capture-worker/capture-worker/internal/processtest"
)

// limited runs the broker with a max_payload that can be changed while it runs.
func limited(t *testing.T, bytes int) (b *broker, limit func(bytes int)) {
	t.Helper()
	b = newBroker(t)
	file := filepath.Join(t.TempDir(), "nats.conf")
	write := func(bytes int) {
		if err := os.WriteFile(file, fmt.Appendf(nil, "max_payload: %d\n", bytes), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(bytes)
	b.process = processtest.Start(t, "nats-server", nil, natsProgram,
		"-js", "-sd", b.dir, "-a", "127.0.0.1", "-p", strconv.Itoa(b.port), "-c", file)
	b.process.Says("Server is ready", 1, patience)
	b.connect()
	return b, func(bytes int) {
		write(bytes)
		b.process.Signal(syscall.SIGHUP)
		b.process.Says("Reloaded: max_payload", 1, patience)
	}
}

// A connection that the client library ends for good, here because the server
// takes less at once than it said when they met, ends the worker with it: the
// next one continues.
func TestWorkerEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	b, limit := limited(t, 64<<10)
	s := startSim(t)
	env := workerEnv(b, s)
	w := startWorker(t, "cut-off", env)
	w.Pause()
	b.publish(jobsSubject, []byte(strings.Repeat("x", 6<<10)))
	limit(4 << 10)
	w.Resume()
	if code := w.Exit(patience); code != 1 {
		t.Errorf("it ended with %d, want 1", code)
	}
	w.Says("Maximum Payload Violation", 1, patience)
	next := startWorker(t, "next", env)
	b.waitDone(patience * 3)
	if letters := b.messages(dlqStream); len(letters) != 2 {
		t.Errorf("%d dead letters, want the job in two parts", len(letters))
	}
	next.Stop(patience)
}
