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

// looked is set after Main has built programs from the source tree.
var looked sync.Once

// Process is a program that a test has started. It ends with the test.
type Process struct {
	Name string
	Out  *Output // its output so far, standard output and standard error

	t     *testing.T
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has exited and Out is complete
}

// Start runs a program in a folder with only the given environment, so that the
// developer's variables do not affect it. If a variable is given twice, the last
// value counts.
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
			t.Logf("the end of the output of %s:\n%s", name, p.Out.tail(6000))
		}
	})
	return p
}

// Finish runs a program to its end and returns its exit code and output.
func Finish(t *testing.T, within time.Duration, name string, env []string, program string, args ...string) (code int, out string) {
	t.Helper()
	p := Start(t, name, env, program, args...)
	code = p.Exit(within)
	return code, p.Out.String()
}

// For returns the same process for a subtest of the test that started it, to which
// failures are reported.
func (p *Process) For(t *testing.T) *Process {
	other := *p
	other.t = t
	return &other
}

// Signal sends a signal. It is not an error if the process has ended.
func (p *Process) Signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("sending %s to %s: %v", s, p.Name, err)
	}
}

// Pause stops the process with SIGSTOP, and returns when it has stopped.
func (p *Process) Pause() {
	p.t.Helper()
	p.Signal(syscall.SIGSTOP)
	WaitFor(p.t, Patience, p.Name+" to stop", func() bool { return stopped(p.cmd.Process.Pid) })
}

// Resume continues the process.
func (p *Process) Resume() {
	p.t.Helper()
	p.Signal(syscall.SIGCONT)
}

// Kill ends the process like a crash, and waits until it has ended.
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

// Stop sends SIGTERM, and fails the test unless the process ends with exit code 0.
func (p *Process) Stop(within time.Duration) {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	p.EndsWell(within)
}

// EndsWell waits for the end of a process after SIGTERM, and fails the test unless
// its exit code is 0.
func (p *Process) EndsWell(within time.Duration) {
	p.t.Helper()
	if code := p.Exit(within); code != 0 {
		p.t.Errorf("%s ended with exit code %d after SIGTERM, want 0", p.Name, code)
	}
}

// Says waits until the process has written the text n times in total.
func (p *Process) Says(text string, times int, within time.Duration) {
	p.t.Helper()
	p.writes(text, within, func() bool { return p.Out.Count(text) >= times })
}

// Finds waits until the output matches the pattern, and returns the pattern's last
// group.
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

// writes waits until the output satisfies the condition, or the process has ended.
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
