package harness

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/capture-worker/capture-worker/bench/internal/fixture"
	"github.com/capture-worker/capture-worker/bench/internal/procfs"
	"github.com/capture-worker/capture-worker/bench/internal/result"
	"github.com/capture-worker/capture-worker/bench/internal/stats"
)

const (
	growthConcurrency = 256
	publishBound      = 10 * time.Minute
)

// growth measures what grows with the number of jobs, and what does not.
func (a *Harness) growth(ctx context.Context, o ScenarioOptions) ([]result.Table, error) {
	drains := result.Table{
		Title: fmt.Sprintf("Draining: gateway latency 0, %d calls in flight", growthConcurrency),
		Head: []string{"jobs", "jobs/s", "worker CPU µs/job", "broker CPU µs/job", "worker peak RSS MiB",
			"broker RSS MiB, jobs published", "broker RSS MiB, jobs done", "broker MiB per million trades"},
		Notes: []string{"The broker is restarted for each row. What it takes per million trades is the growth from an empty server to one that holds the jobs and two ledger events for each."},
	}
	starts := result.Table{
		Title: "Start-up, from the start of the process until it takes jobs",
		Head:  []string{"trades in the ledger", "ms"},
	}
	var reconciled result.Table
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		row, took, err := a.drain(ctx, o.jobs(n))
		if err == nil && n == reconcileTrades {
			reconciled, err = a.reconcileTable(ctx, o.jobs(n))
		}
		if err != nil {
			return nil, fmt.Errorf("draining %d jobs: %w", o.jobs(n), err)
		}
		a.say("growth: %v, start-up %v", row, took)
		drains.Rows = append(drains.Rows, row)
		starts.Rows = append(starts.Rows, []string{row[0], stats.Of(took).Text("%.0f")})
	}
	publish, err := a.publishTable(ctx, o)
	return []result.Table{drains, starts, reconciled, publish}, err
}

// drain has a worker do n jobs, and then starts it again a few times on the
// ledger that this made.
func (a *Harness) drain(ctx context.Context, n int) (row []string, startups []float64, err error) {
	if err := a.restartBroker(ctx); err != nil {
		return nil, nil, err
	}
	empty, err := procfs.ReadMemory(a.Broker.PID())
	if err != nil {
		return nil, nil, err
	}
	if err := a.filled(ctx, n, nil); err != nil {
		return nil, nil, err
	}
	published, err := procfs.ReadMemory(a.Broker.PID())
	if err != nil {
		return nil, nil, err
	}
	p, err := a.startWorker(growthConcurrency)
	if err != nil {
		return nil, nil, err
	}
	worker := candidate{name: CaptureWorker}
	m, err := a.measure(ctx, worker, p, n)
	if err == nil {
		if left := a.drained(ctx, worker, n); left != "" {
			err = errors.New(left)
		}
	}
	memory, memErr := procfs.ReadMemory(p.PID())
	done, doneErr := procfs.ReadMemory(a.Broker.PID())
	_, stopErr := p.Stop()
	if err = errors.Join(err, memErr, doneErr, stopErr); err != nil {
		return nil, nil, err
	}
	var t result.Round
	m.into(&t)
	number := func(v float64) string { return fmt.Sprintf("%.0f", v) }
	mib := func(bytes int64) float64 { return float64(bytes) / (1 << 20) }
	row = []string{fmt.Sprint(n), number(t.Rate), number(t.WorkerCPU), number(t.BrokerCPU), number(mib(memory.Peak)),
		number(mib(published.Now)), number(mib(done.Now)), number(mib(done.Now-empty.Now) / float64(n) * 1e6)}
	startups, err = a.startups(ctx)
	return row, startups, err
}

// startups times how long a worker takes until it takes jobs, in ms.
func (a *Harness) startups(ctx context.Context) (took []float64, err error) {
	for range 3 {
		begin := time.Now()
		p, err := a.startWorker(growthConcurrency)
		if err != nil {
			return nil, err
		}
		err = ready(ctx, p)
		took = append(took, float64(time.Since(begin))/float64(time.Millisecond))
		_, stopErr := p.Stop()
		if err = errors.Join(err, stopErr); err != nil {
			return nil, err
		}
	}
	return took, nil
}

// publishTable measures `capture-worker publish` of a file.
func (a *Harness) publishTable(ctx context.Context, o ScenarioOptions) (result.Table, error) {
	table := result.Table{
		Title: "Publishing a batch: `capture-worker publish FILE`, NDJSON",
		Head:  []string{"rows", "rows/s", "peak RSS MiB"},
	}
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		n = o.jobs(n)
		rate, peak, err := a.publish(ctx, n)
		if err != nil {
			return table, fmt.Errorf("publishing %d jobs: %w", n, err)
		}
		a.say("publish: %d rows, %.0f rows/s, peak %d MiB", n, rate, peak>>20)
		table.Rows = append(table.Rows, []string{fmt.Sprint(n), fmt.Sprintf("%.0f", rate), fmt.Sprint(peak >> 20)})
	}
	return table, nil
}

func (a *Harness) publish(ctx context.Context, n int) (rate float64, peak int64, err error) {
	if err := a.fresh(ctx, nil); err != nil {
		return 0, 0, err
	}
	path := filepath.Join(a.cfg.Dir, "batch.ndjson")
	if err := a.writeBatch(path, n); err != nil {
		return 0, 0, err
	}
	defer os.Remove(path)
	ctx, cancel := context.WithTimeout(ctx, publishBound)
	defer cancel()
	begin := time.Now()
	p, err := fixture.Start(fixture.Command{
		Name: "publish", Path: a.program(CaptureWorker), Args: []string{"publish", path}, Dir: a.cfg.Dir,
		Env: []string{"CAPTURE_NATS_URL=" + a.Broker.URL},
	})
	if err != nil {
		return 0, 0, err
	}
	if _, peak, err = p.Wait(ctx); err != nil {
		return 0, 0, err
	}
	took := time.Since(begin)
	stored, err := a.Broker.Left(ctx, fixture.DefaultQueue())
	if err == nil && stored != n {
		err = fmt.Errorf("%d of %d rows are in the stream", stored, n)
	}
	return float64(n) / took.Seconds(), peak, err
}

func (a *Harness) writeBatch(path string, n int) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	w := bufio.NewWriter(file)
	for range n {
		w.Write(a.ids.Next())
		w.WriteByte('\n')
	}
	return errors.Join(w.Flush(), file.Close())
}
