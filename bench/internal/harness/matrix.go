package harness

import (
	"context"
	"fmt"
	"time"

	"github.com/capture-worker/capture-worker/bench/internal/result"
)

// Matrix says what to measure.
type Matrix struct {
	Cells   []result.Cell
	Rounds  int
	Jobs    int                // a round; 0: enough for Seconds
	Seconds float64            // that a round is to take
	Each    func(result.Round) // called after every round
}

// How many jobs a round may have where the harness chooses.
const (
	leastJobs = 300
	mostJobs  = 150_000
)

// Measure takes rounds: in every repetition all candidates, in an order that
// rotates, so that none always runs first or after the same one. Before the
// rounds of a cell each candidate runs once for a moment, to warm up and to
// see how many jobs a round needs; that is not counted.
func (a *Harness) Measure(ctx context.Context, m Matrix) ([]result.Round, error) {
	var rounds []result.Round
	for _, cell := range m.Cells {
		jobs := make([]int, len(a.candidates))
		for i, c := range a.candidates {
			var err error
			if jobs[i], err = a.jobsFor(ctx, c, cell, m); err != nil {
				return rounds, fmt.Errorf("%s, %s: %w", cell, c.name, err)
			}
		}
		for round := range m.Rounds {
			for k := range a.candidates {
				i := (k + round) % len(a.candidates)
				t, err := a.round(ctx, a.candidates[i], cell, jobs[i])
				if err != nil && ctx.Err() != nil {
					return rounds, ctx.Err()
				}
				if err != nil {
					t.Problem = err.Error()
				}
				t.Round = round + 1
				rounds = append(rounds, t)
				m.Each(t)
			}
		}
	}
	return rounds, nil
}

// jobsFor is how many jobs the candidate needs for a round.
func (a *Harness) jobsFor(ctx context.Context, c candidate, cell result.Cell, m Matrix) (int, error) {
	if m.Jobs > 0 {
		return m.Jobs, nil
	}
	// For the first guess: no call is faster than this many a second, here.
	const fastest = 8000
	guess := float64(fastest)
	if cell.Latency > 0 {
		guess = min(guess, float64(cell.Concurrency)/cell.Latency.Seconds())
	}
	const moment = 700 * time.Millisecond
	t, err := a.round(ctx, c, cell, clamp(guess*moment.Seconds(), cell))
	if err != nil {
		return 0, err
	}
	// A tenth and a twentieth of the jobs lie outside the window.
	return clamp(t.Rate*m.Seconds/0.85, cell), nil
}

// clamp bounds a number of jobs. Every call in flight is used a few times.
func clamp(jobs float64, cell result.Cell) int {
	least := max(leastJobs, 3*cell.Concurrency)
	return int(min(max(jobs, float64(least)), mostJobs))
}
