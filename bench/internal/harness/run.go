package harness

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/capture-worker/capture-worker/bench/internal/fixture"
	"github.com/capture-worker/capture-worker/bench/internal/result"
	"github.com/capture-worker/capture-worker/bench/internal/stats"
)

// readyBound is how long a worker may take until it takes jobs.
const readyBound = 2 * time.Minute

// startWorkers starts capture-worker processes on the one durable consumer and
// waits until all of them take jobs.
func (a *Harness) startWorkers(ctx context.Context, n, concurrency int, env ...string) (workers, error) {
	var all workers
	for range n {
		p, err := a.startWorker(concurrency, env...)
		if err != nil {
			return nil, errors.Join(err, all.stop())
		}
		all = append(all, p)
	}
	for _, p := range all {
		if err := ready(ctx, p); err != nil {
			return nil, errors.Join(err, all.stop())
		}
	}
	return all, nil
}

func (a *Harness) startWorker(concurrency int, env ...string) (*fixture.Process, error) {
	setting := Setting{Concurrency: concurrency, NATS: a.Broker.URL, Gateway: a.Gateway.URL}
	return fixture.Start(fixture.Command{
		Name: CaptureWorker, Path: a.program(CaptureWorker), Args: []string{"run"}, Dir: a.cfg.Dir,
		Env: append(workerEnv(a.cfg.WorkerEnv)(setting), env...),
	})
}

var takesJobs = regexp.MustCompile(`msg="taking jobs"`)

// ready waits until a worker takes jobs.
func ready(ctx context.Context, p *fixture.Process) error {
	return fixture.Until(ctx, readyBound, "a worker to take jobs", func() (bool, error) {
		log, err := os.ReadFile(p.Log)
		return takesJobs.Match(log), errors.Join(err, p.Alive())
	})
}

type workers []*fixture.Process

func (w workers) stop() error {
	var errs []error
	for _, p := range w {
		_, err := p.Stop()
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// fresh empties queue and simulator, and sets the simulator's knobs.
func (a *Harness) fresh(ctx context.Context, knobs map[string]any) error {
	all := map[string]any{"preset": "calm", "down": "", "latency": "0s"}
	maps.Copy(all, knobs)
	if err := a.Gateway.Set(ctx, all); err != nil {
		return err
	}
	if err := a.quiet(ctx); err != nil {
		return err
	}
	if err := a.Gateway.Reset(ctx); err != nil {
		return err
	}
	return a.Broker.Recreate(ctx, fixture.DefaultQueue(), 1)
}

// filled is fresh, and publishes jobs.
func (a *Harness) filled(ctx context.Context, jobs int, knobs map[string]any) error {
	if err := a.fresh(ctx, knobs); err != nil {
		return err
	}
	return a.Broker.Fill(ctx, jobs, a.ids)
}

// history watches the simulator until the condition holds.
func (a *Harness) history(ctx context.Context, p *fixture.Process, until func(fixture.Counts) bool) (all []fixture.Counts, err error) {
	return all, a.watch(ctx, p, func(c fixture.Counts) (bool, error) {
		all = append(all, c)
		return until(c), nil
	})
}

// points are the moments and what is counted of them.
func points(history []fixture.Counts, count func(fixture.Counts) int64) []stats.Point {
	all := make([]stats.Point, len(history))
	for i, c := range history {
		all[i] = stats.Point{At: c.At, Count: count(c)}
	}
	return all
}

func effects(c fixture.Counts) int64 { return c.Effects }

// Scenario measures something besides the matrix.
type Scenario struct {
	Name, About string
	run         func(*Harness, context.Context, ScenarioOptions) ([]result.Table, error)
}

// ScenarioOptions say how large a scenario is to be.
type ScenarioOptions struct {
	Rounds int
	Scale  float64 // multiplies the numbers of jobs; 1 is what the page tells
	Sizes  []int   // of the ledgers of the scenario reads, in trades; none: those of the page
}

func (o ScenarioOptions) jobs(n int) int { return max(int(float64(n)*o.Scale), leastJobs) }

// Scenarios lists them.
func Scenarios() []Scenario {
	return []Scenario{
		{"growth", "drain 10k, 100k and 1M jobs, publish 1M, start on a ledger of 1M trades", (*Harness).growth},
		{"reads", "what commands that read cost on ledgers of 10k, 300k and 1M trades, and what they do to appends", (*Harness).reads},
		{"fleet", "1, 2 and 4 workers on one durable consumer", (*Harness).fleet},
		{"faults", "ambiguous answers, and an outage with jobs waiting", (*Harness).faults},
	}
}

// Run measures a scenario.
func (a *Harness) Run(ctx context.Context, name string, o ScenarioOptions) ([]result.Table, error) {
	var names []string
	for _, s := range Scenarios() {
		if s.Name == name {
			return s.run(a, ctx, o)
		}
		names = append(names, s.Name)
	}
	return nil, fmt.Errorf("no scenario is named %q; there are %s", name, strings.Join(names, ", "))
}
