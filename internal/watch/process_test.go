//go:build unix

package watch

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds waits whose length is not what a test is about.
const patience = time.Minute

// process is a program that a test has started. It does not outlive the test.
type process struct {
	t     *testing.T
	name  string
	cmd   *exec.Cmd
	out   *output
	ended chan struct{}
}

// start runs a program with an environment of its own.
func start(t *testing.T, name string, env []string, file string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, cmd: exec.Command(file, args...), out: &output{}, ended: make(chan struct{})}
	p.cmd.Dir = t.TempDir()
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.cmd.Dir}, env...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // the exit code is read from ProcessState
	}()
	t.Cleanup(func() {
		p.signal(syscall.SIGKILL)
		<-p.ended
		if t.Failed() {
			s := p.out.String()
			t.Logf("what %s wrote (the end of it):\n%s", name, s[max(0, len(s)-4000):])
		}
	})
	return p
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("sending %s to %s: %v", s, p.name, err)
	}
}

// stop asks the process to end, and fails the test unless it ends well.
func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	p.ends()
}

// ends waits until the process has ended well after SIGTERM.
func (p *process) ends() {
	p.t.Helper()
	select {
	case <-p.ended:
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			p.t.Errorf("%s ended with exit code %d after SIGTERM", p.name, code)
		}
	case <-time.After(patience):
		p.t.Fatalf("%s has not ended within %s", p.name, patience)
	}
}

// finds waits until the process has written what the pattern matches, and
// returns its first group.
func (p *process) finds(pattern string) string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	var found []string
	waitFor(p.t, patience, p.name+" to write "+pattern, func() bool {
		if found = re.FindStringSubmatch(p.out.String()); found != nil {
			return true
		}
		select {
		case <-p.ended:
			if !re.MatchString(p.out.String()) {
				p.t.Fatalf("%s ended with exit code %d and did not write %s", p.name, p.cmd.ProcessState.ExitCode(), pattern)
			}
		default:
		}
		return false
	})
	return found[len(found)-1]
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
