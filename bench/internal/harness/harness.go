// Package harness lets the candidates of the benchmark take rounds on one
// nats-server and one simulated gateway.
package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/capture-worker/capture-worker/bench/internal/fixture"
)

// Config says who takes part, and how.
type Config struct {
	Root        string            // folder of capture-worker's sources
	Candidates  []string          // names; "all" is every one
	Also        map[string]string // label to the path of another capture-worker program
	WorkerEnv   []string          // settings of capture-worker beside those it needs, as CAPTURE_X=value
	Sync        bool              // the nats-server syncs before it confirms
	Dir         string            // for programs, stores and logs
	Log         io.Writer         // progress messages
	Profiles    string            // folder for CPU profiles of capture-worker; none where empty
	GatewayArgs []string          // of gateway-sim, besides the usual
}

// Harness is ready for rounds. Close it.
type Harness struct {
	Broker  *fixture.Broker
	Gateway *fixture.Gateway
	LeftOut []string // who could not take part, and why

	cfg        Config
	candidates []candidate
	ids        *fixture.IDs
	closers    []func() error
	profiling  sync.WaitGroup
}

// Open builds the programs and starts the servers.
func Open(ctx context.Context, cfg Config) (a *Harness, err error) {
	a = &Harness{cfg: cfg, ids: fixture.NewIDs(time.Now())}
	if err := cfg.Validate(); err != nil {
		return a, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	programs := filepath.Join(cfg.Dir, "programs")
	if err := os.MkdirAll(programs, 0o755); err != nil {
		return a, err
	}
	b := builder{root: cfg.Root, into: programs, compile: func(module, pkg, name string) (string, error) {
		a.say("building %s", name)
		return fixture.Build(ctx, module, pkg, programs, name)
	}}
	worker, err := b.compile(cfg.Root, "./cmd/capture-worker", CaptureWorker)
	if err != nil {
		return a, err
	}
	server, err := b.compile(filepath.Join(cfg.Root, "bench"), "github.com/nats-io/nats-server/v2", "nats-server")
	if err != nil {
		return a, err
	}
	if err := a.gather(ctx, b); err != nil {
		return a, err
	}
	a.say("starting the servers")
	if a.Broker, err = fixture.StartBroker(ctx, server, filepath.Join(cfg.Dir, "broker"), cfg.Sync); err != nil {
		return a, err
	}
	a.closers = append(a.closers, func() error { return a.Broker.Close() })
	if a.Gateway, err = fixture.StartGateway(ctx, worker, cfg.Dir, cfg.GatewayArgs...); err != nil {
		return a, err
	}
	a.closers = append(a.closers, func() error { _, err := a.Gateway.Stop(); return err })
	return a, nil
}

// Close ends what was started, the latest first.
func (a *Harness) Close() error {
	var errs []error
	for _, end := range slices.Backward(a.closers) {
		errs = append(errs, end())
	}
	a.closers = nil
	return errors.Join(errs...)
}

// restartBroker puts a new nats-server, with an empty store, in the place of
// the one that runs.
func (a *Harness) restartBroker(ctx context.Context) error {
	dir, err := os.MkdirTemp(a.cfg.Dir, "broker-")
	if err != nil {
		return err
	}
	fresh, err := fixture.StartBroker(ctx, a.program("nats-server"), dir, a.cfg.Sync)
	if err != nil {
		return err
	}
	old := a.Broker
	a.Broker = fresh
	return errors.Join(old.Close(), os.RemoveAll(old.Dir))
}

// gather builds the candidates. One that is asked for and cannot be had is
// left out: the others are still worth measuring. The references and
// capture-worker must be there.
func (a *Harness) gather(ctx context.Context, b builder) error {
	all := known(a.cfg.WorkerEnv)
	everybody := slices.Contains(a.cfg.Candidates, "all")
	for _, c := range all {
		if !everybody && !slices.Contains(a.cfg.Candidates, c.name) {
			continue
		}
		if err := a.admit(ctx, c, b); err != nil {
			a.LeftOut = append(a.LeftOut, fmt.Sprintf("%s: %v", c.name, err))
			a.say("left out: %s: %v", c.name, err)
		}
	}
	for label, path := range a.cfg.Also {
		if err := a.admit(ctx, alternative(label, path, a.cfg.WorkerEnv), b); err != nil {
			return err
		}
	}
	if len(a.candidates) == 0 {
		return errors.New("no candidate is left")
	}
	return nil
}

func (a *Harness) admit(ctx context.Context, c candidate, b builder) (err error) {
	if c.path, err = c.build(b); err != nil {
		return err
	}
	if err := a.serve(ctx, c.server, b); err != nil {
		return err
	}
	a.candidates = append(a.candidates, c)
	return nil
}

// Validate reports an unknown name.
func (cfg Config) Validate() error {
	for _, name := range cfg.Candidates {
		if name != "all" && !slices.Contains(Names(), name) {
			return fmt.Errorf("no candidate is named %q; there are all, %s", name, strings.Join(Names(), ", "))
		}
	}
	return nil
}

// Names returns the names of all candidates.
func Names() []string {
	var names []string
	for _, c := range known(nil) {
		names = append(names, c.name)
	}
	return names
}

// program is the path of one that was built.
func (a *Harness) program(name string) string { return filepath.Join(a.cfg.Dir, "programs", name) }

func (a *Harness) say(format string, args ...any) { fmt.Fprintf(a.cfg.Log, format+"\n", args...) }
