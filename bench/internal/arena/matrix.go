package arena

import (
	"context"
	"fmt"
	"time"

	"github.com/capture-worker/capture-worker/bench/internal/result"
)

// Matrix says what to measure.
type Matrix struct {
	Cells   []result.Cell
	Turns   int
	Jobs    int               // a turn; 0: enough for Seconds
	Seconds float64           // that a turn is to take
	Each    func(result.Turn) // called after every turn
}

// How many jobs a turn may have where the harness chooses.
const (
	leastJobs = 300
	mostJobs  = 150_000
)

// Measure takes turns: in every repetition all contestants, in an order that
// rotates, so that none always runs first or after the same one. Before the
// turns of a cell each contestant runs once for a moment, to warm up and to
// see how many jobs a turn needs; that is not counted.
func (a *Arena) Measure(ctx context.Context, m Matrix) ([]result.Turn, error) {
	var turns []result.Turn
	for _, cell := range m.Cells {
		jobs := make([]int, len(a.contestants))
		for i, c := range a.contestants {
			var err error
			if jobs[i], err = a.jobsFor(ctx, c, cell, m); err != nil {
				return turns, fmt.Errorf("%s, %s: %w", cell, c.name, err)
			}
		}
		for turn := range m.Turns {
			for k := range a.contestants {
				i := (k + turn) % len(a.contestants)
				t, err := a.turn(ctx, a.contestants[i], cell, jobs[i])
				if err != nil && ctx.Err() != nil {
					return turns, ctx.Err()
				}
				if err != nil {
					t.Problem = err.Error()
				}
				t.Turn = turn + 1
				turns = append(turns, t)
				m.Each(t)
			}
		}
	}
	return turns, nil
}

// jobsFor is how many jobs the contestant needs for a turn.
func (a *Arena) jobsFor(ctx context.Context, c contestant, cell result.Cell, m Matrix) (int, error) {
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
	t, err := a.turn(ctx, c, cell, clamp(guess*moment.Seconds(), cell))
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
