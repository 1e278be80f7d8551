//go:build unix

package processtest

import (
	"errors"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"
)

// looked: Main has built programs out of the tree.
var looked sync.Once

// Process is a program that a test has started. It does not outlive the test.
type Process struct {
	Name string
	Out  *Output // all that it has written so far, to either output

	t     *testing.T
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has exited and all it wrote is in Out
}

// Start runs a program in a folder and with an environment of its own: what
// the developer has set must not reach it. Of a variable that is given twice,
// the last counts.
func Start(t *testing.T, name string, env []string, program string, args ...string) *Process {
	t.Helper()
	looked.Do(func() { LookAtTree(t) })
	p := &Process{Name: name, Out: &Output{}, t: t, cmd: exec.Command(program, args...), ended: make(chan struct{})}
	p.cmd.Dir = t.TempDir()
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.cmd.Dir}, env...)
	p.cmd.Stdout, p.cmd.Stderr = p.Out, p.Out
	p.cmd.SysProcAttr = dieWithUs()
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // the exit code is read from ProcessState
	}()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("what %s wrote (the end of it):\n%s", name, p.Out.tail(6000))
		}
	})
	return p
}

// Finish runs a program to its end and returns its exit code and what it wrote.
func Finish(t *testing.T, within time.Duration, name string, env []string, program string, args ...string) (code int, out string) {
	t.Helper()
	p := Start(t, name, env, program, args...)
	code = p.Exit(within)
	return code, p.Out.String()
}

// For is the same process, whose failures are those of another test: a subtest
// of the one that started it.
func (p *Process) For(t *testing.T) *Process {
	other := *p
	other.t = t
	return &other
}

// Signal sends a signal; it is no error that the process has ended.
func (p *Process) Signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("sending %s to %s: %v", s, p.Name, err)
	}
}

// Pause stops the process in its tracks, and returns when it stands still.
func (p *Process) Pause() {
	p.t.Helper()
	p.Signal(syscall.SIGSTOP)
	WaitFor(p.t, Patience, p.Name+" to stand still", func() bool { return stopped(p.cmd.Process.Pid) })
}

// Resume lets it go on.
func (p *Process) Resume() {
	p.t.Helper()
	p.Signal(syscall.SIGCONT)
}

// Kill ends the process as a crash does, and waits until it is gone.
func (p *Process) Kill() {
	p.t.Helper()
	p.Signal(syscall.SIGKILL)
	<-p.ended
}

// Exit waits for the process to end and returns its exit code, -1 if a signal
// ended it.
func (p *Process) Exit(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(within):
		p.t.Fatalf("%s has not ended within %s", p.Name, within)
		return -1
	}
}

// Stop asks the process to end, and fails the test unless it ends well.
func (p *Process) Stop(within time.Duration) {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	p.EndsWell(within)
}

// EndsWell waits for the end of a process that was asked to end, and fails the
// test unless it is a good one.
func (p *Process) EndsWell(within time.Duration) {
	p.t.Helper()
	if code := p.Exit(within); code != 0 {
		p.t.Errorf("%s ended with exit code %d after SIGTERM, want 0", p.Name, code)
	}
}

// Says waits until the process has written the text that many times in all.
func (p *Process) Says(text string, times int, within time.Duration) {
	p.t.Helper()
	p.writes(text, within, func() bool { return p.Out.Count(text) >= times })
}

// Finds waits until the process has written what the pattern matches, and
// returns its last group.
func (p *Process) Finds(pattern string, within time.Duration) string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	var found []string
	p.writes(pattern, within, func() bool {
		found = re.FindStringSubmatch(p.Out.String())
		return found != nil
	})
	return found[len(found)-1]
}

// writes waits for what the process writes. One that has ended writes no more.
func (p *Process) writes(what string, within time.Duration, written func() bool) {
	p.t.Helper()
	WaitFor(p.t, within, p.Name+" to write: "+what, func() bool {
		if written() {
			return true
		}
		select {
		case <-p.ended:
			if !written() {
				p.t.Fatalf("%s ended with exit code %d and did not write: %s", p.Name, p.cmd.ProcessState.ExitCode(), what)
			}
			return true
		default:
			return false
		}
	})
}
