//go:build unix

package cluster

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// patience is the bound of waits whose length is not what a test is about.
const patience = 60 * time.Second

const shutdownTimeout = 10 * time.Second

// policy is what the scaled times of the workers come to.
var policy = capture.Policy{Settle: 1500 * time.Millisecond, Agree: 2, Spacing: 200 * time.Millisecond, GiveUpAfter: 72 * time.Hour}

var scaledTimes = []string{
	"CAPTURE_GATEWAY_TIMEOUT=1s",
	"CAPTURE_RECONCILE_SETTLE=1500ms", "CAPTURE_RECONCILE_SPACING=200ms",
	"CAPTURE_WORKER_BACKOFF_INITIAL=50ms", "CAPTURE_WORKER_BACKOFF_MAX=500ms", "CAPTURE_WORKER_BACKOFF_INLINE=2s",
	"CAPTURE_WORKER_RETRY_INITIAL=500ms", "CAPTURE_WORKER_RETRY_MAX=2s",
	"CAPTURE_WORKER_PROBE_INTERVAL=200ms", "CAPTURE_WORKER_SHUTDOWN_TIMEOUT=10s", "CAPTURE_NATS_ACK_WAIT=3s",
}

// process is a worker that a test has started; it does not outlive the test.
type process struct {
	t     *testing.T
	name  string
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has exited

	mu  sync.Mutex
	out bytes.Buffer
}

// Write keeps what the process writes.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// startWorker starts `capture-worker run` and returns once it takes jobs. Of a
// variable that is given twice, the last counts.
func startWorker(t *testing.T, name string, env ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, cmd: exec.Command(workerProgram, "run"), ended: make(chan struct{})}
	p.cmd.Dir = t.TempDir()
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.cmd.Dir,
		"CAPTURE_WORKER_NAME=" + name, "CAPTURE_ADMIN_LISTEN=127.0.0.1:0"}, env...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // the exit code is read from ProcessState
	}()
	t.Cleanup(p.cleanUp)
	waitFor(t, patience, name+" to take jobs", func() bool {
		select {
		case <-p.ended:
			t.Fatalf("%s has ended:\n%s", name, p.text())
		default:
		}
		return strings.Contains(p.text(), `msg="taking jobs"`)
	})
	return p
}

func (p *process) cleanUp() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
	if p.t.Failed() {
		text := p.text()
		p.t.Logf("what %s wrote (the end of it):\n%s", p.name, text[max(0, len(text)-5000):])
	}
}

// stop asks the process to end, and fails the test unless it ends well.
func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatalf("stopping %s: %v", p.name, err)
	}
	select {
	case <-p.ended:
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			p.t.Errorf("%s ended with exit code %d", p.name, code)
		}
	case <-time.After(shutdownTimeout + 5*time.Second):
		p.t.Fatalf("%s has not ended", p.name)
	}
}

// waitFor waits until the condition holds, and fails the test when it does not
// in time.
func waitFor(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited %s in vain for %s", within, what)
		}
	}
}
