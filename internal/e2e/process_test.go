//go:build unix

package e2e

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is the bound of waits whose length is not what a test is about. It
// is long, because test machines are slow.
const patience = 45 * time.Second

// process is a program that a test has started. It does not outlive the test.
type process struct {
	t     *testing.T
	name  string
	cmd   *exec.Cmd
	out   *output
	ended chan struct{} // closed when it has exited and all it wrote is in out
}

// start runs a program with an environment of its own: what the developer has
// set must not reach it.
func start(t *testing.T, name string, env []string, program string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, cmd: exec.Command(program, args...), out: &output{}, ended: make(chan struct{})}
	p.cmd.Dir = t.TempDir()
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.cmd.Dir}, env...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.SysProcAttr = dieWithUs()
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // the exit code is read from ProcessState
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("what %s wrote (the end of it):\n%s", name, p.out.tail(6000))
		}
	})
	return p
}

// signal sends a signal; it is no error that the process has ended.
func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("sending %s to %s: %v", s, p.name, err)
	}
}

// kill ends the process as a crash does, and waits until it is gone.
func (p *process) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// exit waits for the process to end and returns its exit code, -1 if a signal
// ended it.
func (p *process) exit(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(within):
		p.t.Fatalf("%s has not ended within %s", p.name, within)
		return -1
	}
}

// stop asks the process to end, and fails the test unless it ends well.
func (p *process) stop(within time.Duration) {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	if code := p.exit(within); code != 0 {
		p.t.Errorf("%s ended with exit code %d after SIGTERM, want 0", p.name, code)
	}
}

// says waits until the process has written the text that many times in all.
func (p *process) says(text string, times int, within time.Duration) {
	p.t.Helper()
	waitFor(p.t, within, p.name+" to write: "+text, func() bool {
		if p.out.count(text) >= times {
			return true
		}
		select {
		case <-p.ended:
			if p.out.count(text) < times {
				p.t.Fatalf("%s ended with exit code %d and did not write: %s", p.name, p.cmd.ProcessState.ExitCode(), text)
			}
			return true
		default:
			return false
		}
	})
}

// finish runs a program to its end and returns its exit code and what it wrote.
func finish(t *testing.T, name string, env []string, program string, args ...string) (code int, out string) {
	t.Helper()
	p := start(t, name, env, program, args...)
	code = p.exit(patience)
	return code, p.out.String()
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

// output keeps what a process writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func (o *output) count(text string) int { return strings.Count(o.String(), text) }

func (o *output) tail(n int) string {
	s := o.String()
	return s[max(0, len(s)-n):]
}
