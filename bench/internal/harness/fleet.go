package harness

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/capture-worker/capture-worker/bench/internal/fixture"
	"github.com/capture-worker/capture-worker/bench/internal/result"
	"github.com/capture-worker/capture-worker/bench/internal/stats"
)

const (
	fleetLatency     = 100 * time.Millisecond
	fleetConcurrency = 16 // of each worker
	fleetSeconds     = 8  // that a round takes at least
)

// fleet measures how the rate grows with the number of workers on one
// consumer, where the machine does not limit them.
func (a *Harness) fleet(ctx context.Context, o ScenarioOptions) ([]result.Table, error) {
	sizes := []int{1, 2, 4}
	rates := map[int]map[int]float64{} // by size and round
	for round := range o.Rounds {
		for k := range sizes {
			size := sizes[(k+round)%len(sizes)]
			rate, err := a.fleetRate(ctx, size, o)
			if err != nil {
				return nil, fmt.Errorf("%d workers: %w", size, err)
			}
			a.say("fleet round %d: %d workers make %.0f jobs/s", round+1, size, rate)
			if rates[size] == nil {
				rates[size] = map[int]float64{}
			}
			rates[size][round] = rate
		}
	}
	table := result.Table{
		Title: fmt.Sprintf("More workers: gateway latency %s, %d calls in flight per worker", fleetLatency, fleetConcurrency),
		Head:  []string{"workers", "jobs/s", "to one worker", "of linear"},
		Notes: []string{"The limit of a worker is calls in flight by latency: " +
			fmt.Sprintf("%.0f jobs/s here.", fleetConcurrency/fleetLatency.Seconds())},
	}
	for _, size := range sizes {
		ratio := stats.Ratios(rates[size], rates[1])
		linear := ratio.Scaled(1 / float64(size))
		table.Rows = append(table.Rows, []string{
			fmt.Sprint(size), stats.Of(values(rates[size])).Text("%.0f"), ratio.Text("%.2f"), linear.Text("%.2f"),
		})
	}
	return []result.Table{table}, nil
}

func (a *Harness) fleetRate(ctx context.Context, size int, o ScenarioOptions) (rate float64, err error) {
	perSecond := float64(size*fleetConcurrency) / fleetLatency.Seconds()
	jobs := o.jobs(int(perSecond * fleetSeconds / 0.85))
	if err := a.fresh(ctx, map[string]any{"latency": fleetLatency.String()}); err != nil {
		return 0, err
	}
	workers, err := a.startWorkers(ctx, size, fleetConcurrency)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, workers.stop()) }()
	// Only now: else the first worker would have a stock of jobs for itself.
	if err := a.Broker.Fill(ctx, jobs, a.ids); err != nil {
		return 0, err
	}
	from, to := window(jobs)
	history, err := a.history(ctx, workers[0], func(c fixture.Counts) bool { return c.Effects >= to })
	if err != nil {
		return 0, err
	}
	return stats.Rate(stats.Window(points(history, effects), from, to)), nil
}

func values(byRound map[int]float64) []float64 {
	var list []float64
	for _, v := range byRound {
		list = append(list, v)
	}
	return list
}
