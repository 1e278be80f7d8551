// Package rig builds and runs what the benchmark needs: one nats-server, one
// simulated gateway, and the contestants, each a process of its own.
package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/capture-worker/capture-worker/bench/internal/procfs"
)

// stopBound is how long a process may take to end once it was asked.
const stopBound = time.Minute

// Process is a program that was started. It does not outlive this one.
type Process struct {
	Name   string
	Log    string // path of the file that its standard error goes to
	Output string // path of the file that its standard output goes to

	cmd    *exec.Cmd
	ended  chan struct{}
	err    error
	finish sync.Once
}

// Command says what to start.
type Command struct {
	Name string // in messages, and of the log
	Path string
	Args []string
	Env  []string // beside PATH and HOME
	Dir  string   // for the log and as working folder
}

// Start starts a program.
func Start(c Command) (*Process, error) {
	out, err := os.CreateTemp(c.Dir, c.Name+"-*.out")
	if err != nil {
		return nil, err
	}
	defer out.Close() // the process has its own
	log, err := os.Create(strings.TrimSuffix(out.Name(), ".out") + ".log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &Process{Name: c.Name, Log: log.Name(), Output: out.Name(), cmd: exec.Command(c.Path, c.Args...), ended: make(chan struct{})}
	p.cmd.Dir = c.Dir
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.Dir}, c.Env...)
	p.cmd.Stdout, p.cmd.Stderr = out, log
	dieWithParent(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.Name, err)
	}
	go func() {
		defer close(p.ended)
		p.err = p.cmd.Wait()
	}()
	return p, nil
}

// PID is the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Alive returns an error, with the end of the log, if the process has ended.
func (p *Process) Alive() error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s has ended (%v): %s", p.Name, p.err, p.Tail())
	default:
		return nil
	}
}

// Stop asks the process to end, kills it when it does not, and returns what it
// wrote to standard output. A process that failed is an error.
func (p *Process) Stop() ([]byte, error) {
	p.finish.Do(func() { _ = p.cmd.Process.Signal(syscall.SIGTERM) }) // it may have ended
	select {
	case <-p.ended:
	case <-time.After(stopBound):
		_ = p.cmd.Process.Kill()
		<-p.ended
		return nil, fmt.Errorf("%s did not end within %s and was killed", p.Name, stopBound)
	}
	if exit, ok := errors.AsType[*exec.ExitError](p.err); ok && exit.ExitCode() != 0 {
		return nil, fmt.Errorf("%s ended badly (%w): %s", p.Name, p.err, p.Tail())
	}
	return os.ReadFile(p.Output)
}

// Usage is what a process has cost so far.
func (p *Process) Usage() (cpu time.Duration, memory procfs.Memory, err error) {
	if cpu, err = procfs.CPU(p.PID()); err == nil {
		memory, err = procfs.ReadMemory(p.PID())
	}
	return cpu, memory, err
}

// Wait waits until the process ends by itself, and returns what it wrote to
// standard output and how much memory it ever had. A process that failed is an
// error.
func (p *Process) Wait(ctx context.Context) (out []byte, peak int64, err error) {
	select {
	case <-p.ended:
	case <-ctx.Done():
		_, err := p.Stop()
		return nil, 0, errors.Join(ctx.Err(), err)
	}
	out, err = p.Stop()
	return out, peakOf(p.cmd.ProcessState), err
}

// Tail is the end of the log, for an error message.
func (p *Process) Tail() string {
	text, _ := os.ReadFile(p.Log)
	return string(bytes.TrimSpace(text[max(0, len(text)-1000):]))
}

// Until polls a condition until it holds. It fails when the condition does, or
// when the time is over.
func Until(ctx context.Context, within time.Duration, what string, holds func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		done, err := holds()
		if err != nil {
			return fmt.Errorf("waiting for %s: %w", what, err)
		}
		if done {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waited %s for %s, which did not come", within, what)
		}
	}
}
