package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/capture-worker/capture-worker/bench/internal/fixture"
	"github.com/capture-worker/capture-worker/bench/internal/result"
	"github.com/capture-worker/capture-worker/bench/internal/stats"
	"github.com/capture-worker/capture-worker/bench/peers/contest"
)

const (
	pollEvery  = 20 * time.Millisecond
	stallBound = time.Minute     // without one capture
	drainBound = 2 * time.Minute // for the acks of the last jobs
	// samplesWanted is how many acks of a round the server reports, if it has
	// as many: enough for a p99, few enough to cost nothing.
	samplesWanted = 4000
)

// window is the part of n jobs that is measured, as counts: how a run begins
// and how it ends is not what is asked.
func window(n int) (from, to int64) { return int64(n) / 10, int64(n) * 95 / 100 }

// round lets one candidate do n jobs.
func (a *Harness) round(ctx context.Context, c candidate, cell result.Cell, n int) (t result.Round, err error) {
	t = result.Round{Cell: cell, Candidate: c.name, Jobs: n}
	setting := Setting{Concurrency: cell.Concurrency, Jobs: n, NATS: a.Broker.URL, Gateway: a.Gateway.URL}
	samples, err := a.prepare(ctx, c, cell, setting)
	if err != nil {
		return t, err
	}
	if samples != nil {
		defer samples.Close()
	}
	p, err := fixture.Start(c.command(setting, a.cfg.Dir))
	if err != nil {
		return t, err
	}
	measured, err := a.measure(ctx, c, p, n)
	if err == nil {
		_, memory, memErr := p.Usage()
		t.PeakRSS, err = memory.Peak, memErr
	}
	left := ""
	if err == nil && c.queue != onNone {
		left = a.drained(ctx, c, n)
	}
	a.profiling.Wait()
	out, stopErr := p.Stop()
	if err = errors.Join(err, stopErr); err != nil {
		return t, err
	}
	measured.into(&t)
	t.Problem = left
	return t, latencies(&t, samples, out)
}

// prepare gives the candidate an equal start.
func (a *Harness) prepare(ctx context.Context, c candidate, cell result.Cell, s Setting) (*fixture.Samples, error) {
	if err := a.Gateway.Set(ctx, map[string]any{"latency": cell.Latency.String()}); err != nil {
		return nil, err
	}
	if err := a.quiet(ctx); err != nil {
		return nil, err
	}
	if err := a.Gateway.Reset(ctx); err != nil {
		return nil, err
	}
	// Each round begins on a server that keeps nothing of the last one.
	percent := min(max(100*samplesWanted/s.Jobs, 1), 100)
	if err := a.Broker.Recreate(ctx, fixture.DefaultQueue(), percent); err != nil {
		return nil, err
	}
	switch c.queue {
	case onNATS:
		if err := a.Broker.Fill(ctx, s.Jobs, a.ids); err != nil {
			return nil, err
		}
		return a.Broker.Sample()
	case onItself:
		return nil, a.fillOwn(ctx, c, s)
	}
	return nil, nil
}

// quiet waits until the simulator has read the calls that the last candidate
// had sent when it ended: they would count for the next one.
func (a *Harness) quiet(ctx context.Context) error {
	const quietPolls = 5 // of 10 ms each
	last, same := fixture.Counts{}, 0
	return fixture.Until(ctx, stallBound, "the simulator to be quiet", func() (bool, error) {
		now, err := a.Gateway.Counts(ctx)
		now.At = time.Time{}
		if same++; now != last {
			last, same = now, 0
		}
		return same >= quietPolls, err
	})
}

// fillOwn has the candidate put the jobs into its own queue.
func (a *Harness) fillOwn(ctx context.Context, c candidate, s Setting) error {
	command := c.command(s, a.cfg.Dir)
	command.Args = append(command.Args, "-fill", fmt.Sprint(s.Jobs))
	p, err := fixture.Start(command)
	if err != nil {
		return err
	}
	select {
	case <-p.Ended():
	case <-ctx.Done():
	case <-time.After(2 * time.Minute):
	}
	_, err = p.Stop()
	return err
}

// measure watches the simulator until the window is over.
func (a *Harness) measure(ctx context.Context, c candidate, p *fixture.Process, n int) (m measurement, err error) {
	from, to := window(n)
	var points []stats.Point
	var before cost
	err = a.watch(ctx, p, func(counts fixture.Counts) (done bool, err error) {
		points = append(points, counts.Point())
		if before.machine.Passed == 0 && counts.Effects >= from {
			if before, err = a.spent(c, p); err != nil {
				return false, err
			}
			a.profile(ctx, c, p)
		}
		return counts.Effects >= to, nil
	})
	if err != nil {
		return m, err
	}
	after, err := a.spent(c, p)
	if err != nil {
		return m, err
	}
	m = measurement{points: stats.Window(points, from, to), cost: after.since(before)}
	if len(m.points) < 3 {
		return m, fmt.Errorf("%s did %d jobs too fast to be measured; use more jobs", c.name, n)
	}
	return m, nil
}

// watch polls the simulator while a candidate works, until look has seen
// enough. It fails when the candidate ends or makes no progress.
func (a *Harness) watch(ctx context.Context, p *fixture.Process, look func(fixture.Counts) (done bool, err error)) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var last int64
	moved := time.Now()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		counts, err := a.Gateway.Counts(ctx)
		if err = errors.Join(err, p.Alive(), a.Broker.Alive()); err != nil {
			return err
		}
		if counts.Effects > last {
			last, moved = counts.Effects, time.Now()
		}
		if time.Since(moved) > stallBound {
			return fmt.Errorf("%s stopped after %d jobs for %s; its log ends: %s", p.Name, last, stallBound, p.Tail())
		}
		done, err := look(counts)
		if done || err != nil {
			return err
		}
	}
}

// drained waits until all jobs are captured and, as far as the NATS server can
// tell, acked. It says what is missing.
func (a *Harness) drained(ctx context.Context, c candidate, n int) string {
	var left int
	var captured int64
	err := fixture.Until(ctx, drainBound, "the last acks", func() (bool, error) {
		counts, err := a.Gateway.Counts(ctx)
		if err != nil {
			return false, err
		}
		captured = counts.Effects
		if c.queue != onNATS {
			return captured >= int64(n), nil
		}
		q := fixture.DefaultQueue()
		q.Consumer += c.consumer
		left, err = a.Broker.Left(ctx, q)
		return left == 0 && captured >= int64(n), err
	})
	if err == nil {
		return ""
	}
	return fmt.Sprintf("%v: %d of %d jobs not acked, %d captured", err, left, n, captured)
}

// latencies takes them from the server's samples, where the queue is on NATS,
// and else from what the candidate wrote.
func latencies(t *result.Round, samples *fixture.Samples, out []byte) error {
	var report contest.Report
	if samples == nil {
		if err := json.Unmarshal(out, &report); err != nil {
			return fmt.Errorf("reading the report of %s: %w: %.200s", t.Candidate, err, out)
		}
		t.P50, t.P99, t.Latency = report.P50, report.P99, report.Note
		return nil
	}
	from, to := window(t.Jobs)
	took, err := samples.Latencies(uint64(from), uint64(to))
	if err != nil {
		return err
	}
	t.P50 = contest.Milliseconds(contest.Percentile(took, 50))
	t.P99 = contest.Milliseconds(contest.Percentile(took, 99))
	t.Latency, t.Samples = "delivery to ack, by the server", len(took)
	return nil
}
