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
	faultsLatency     = 20 * time.Millisecond
	faultsConcurrency = 64
	outageJobs        = 50_000
	// Trades in doubt are asked about again after the settle time of 45
	// seconds: only then is what they cost all there.
	faultsRamp   = 15 * time.Second
	faultsSteady = 60 * time.Second
	// outageFor is long enough for the worker to notice and to probe.
	outageFor = 12 * time.Second
)

// healthyShare of the calls meet none of the faults below.
const healthyShare = 0.95

// ambiguous has one call in twenty end without telling whether it captured.
var ambiguous = map[string]any{
	"error_before": .01, "error_after": .01, "reset_before": .005, "reset_after": .005,
	"html502_before": .005, "html502_after": .005, "truncated_before": .005, "truncated_after": .005,
}

// faults measures what a bad gateway does to the jobs that it treats well.
func (a *Harness) faults(ctx context.Context, o ScenarioOptions) ([]result.Table, error) {
	calm, doubtful := map[int]float64{}, map[int]float64{}
	outages := map[string][]recovery{}
	kinds := []string{"reset", "502"}
	for round := range o.Rounds {
		var err error
		if calm[round], err = a.healthy(ctx, nil, o); err != nil {
			return nil, fmt.Errorf("calm: %w", err)
		}
		if doubtful[round], err = a.healthy(ctx, ambiguous, o); err != nil {
			return nil, fmt.Errorf("ambiguous answers: %w", err)
		}
		a.say("faults round %d: calm %.0f, ambiguous %.0f healthy jobs/s", round+1, calm[round], doubtful[round])
		for _, down := range kinds {
			r, err := a.outage(ctx, down, calm[round], o)
			if err != nil {
				return nil, fmt.Errorf("outage (%s): %w", down, err)
			}
			a.say("faults round %d: outage %s: %+v", round+1, down, r)
			outages[down] = append(outages[down], r)
		}
	}
	return []result.Table{doubtTable(calm, doubtful, o), outageTable(kinds, outages, o)}, nil
}

func doubtTable(calm, doubtful map[int]float64, o ScenarioOptions) result.Table {
	return result.Table{
		Title: fmt.Sprintf("One answer in twenty is ambiguous: gateway latency %s, %d calls in flight", faultsLatency, faultsConcurrency),
		Head:  []string{"jobs/s, calm", "healthy jobs/s, in doubt", "ratio", "to the calm rate of as many jobs"},
		Rows: [][]string{{stats.Of(values(calm)).Text("%.0f"), stats.Of(values(doubtful)).Text("%.0f"),
			stats.Ratios(doubtful, calm).Text("%.2f"), stats.Ratios(doubtful, calm).Scaled(1 / healthyShare).Text("%.2f")}},
		Notes: []string{fmt.Sprintf("Answers of -1000, resets, 502s and answers that break off, half of them with effect. Steady state: measured for %s after %s. Healthy are capture calls that met no fault, less as many as are made again for those that met one without effect; at most 0.95 of the calls can be, which the last column takes into account. Both count against the calls in flight, as do the queries about the trades in doubt.", scaled(faultsSteady, o), scaled(faultsRamp, o))},
	}
}

// healthy is the rate of jobs that meet no fault.
func (a *Harness) healthy(ctx context.Context, faults map[string]any, o ScenarioOptions) (rate float64, err error) {
	ramp, steady := scaled(faultsRamp, o), scaled(faultsSteady, o)
	if faults == nil {
		ramp, steady = min(ramp, 2*time.Second), min(steady, 8*time.Second)
	}
	knobs := map[string]any{"latency": faultsLatency.String()}
	for name, p := range faults {
		knobs[name] = p
	}
	fastest := faultsConcurrency / faultsLatency.Seconds()
	if err := a.filled(ctx, int(fastest*(ramp+steady+3*time.Second).Seconds()), knobs); err != nil {
		return 0, err
	}
	workers, err := a.startWorkers(ctx, 1, faultsConcurrency)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, workers.stop()) }()
	begin := time.Now()
	history, err := a.history(ctx, workers[0], func(c fixture.Counts) bool { return c.At.Sub(begin) > ramp+steady })
	if err != nil {
		return 0, err
	}
	var window []fixture.Counts
	for _, c := range history {
		if c.At.Sub(begin) > ramp {
			window = append(window, c)
		}
	}
	return stats.Rate(points(window, func(c fixture.Counts) int64 {
		return c.Captures - c.Faults - c.Faults/2
	})), nil
}

func scaled(d time.Duration, o ScenarioOptions) time.Duration {
	return time.Duration(float64(d) * min(o.Scale, 1))
}

// recovery is how a worker comes back after an outage.
type recovery struct {
	Drain  float64 // jobs/s from the first call on, to the normal rate
	First  float64 // calls in the first second from the first call on, to the steady rate
	Most   float64 // calls in the worst second of the first ten, to the steady rate
	Behind float64 // seconds from the end of the outage until the first call
}

// outage has jobs wait for a gateway that is down, and ends it.
func (a *Harness) outage(ctx context.Context, down string, normal float64, o ScenarioOptions) (r recovery, err error) {
	jobs := o.jobs(outageJobs)
	if err := a.filled(ctx, jobs, map[string]any{"latency": faultsLatency.String(), "down": down}); err != nil {
		return r, err
	}
	workers, err := a.startWorkers(ctx, 1, faultsConcurrency)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, workers.stop()) }()
	select {
	case <-time.After(outageFor):
	case <-ctx.Done():
		return r, ctx.Err()
	}
	if err := a.Gateway.Set(ctx, map[string]any{"down": ""}); err != nil {
		return r, err
	}
	over := time.Now()
	_, to := window(jobs)
	history, err := a.history(ctx, workers[0], func(c fixture.Counts) bool { return c.Effects >= to })
	if err != nil {
		return r, err
	}
	return recovered(history, over, normal)
}

// recovered reads the recovery out of what the simulator counted since the
// outage was over.
func recovered(history []fixture.Counts, over time.Time, normal float64) (r recovery, err error) {
	calls := points(history, func(c fixture.Counts) int64 { return c.Captures + c.Queries + c.Others })
	first := 0
	for first < len(calls) && calls[first].Count == 0 {
		first++
	}
	if first == len(calls) || normal <= 0 {
		return r, errors.New("there was no call after the outage")
	}
	from := max(first-1, 0)
	last := len(calls) - 1
	steady := stats.PlainRate(calls[from+(last-from)*3/10:])
	if steady <= 0 {
		return r, errors.New("too few calls after the outage to tell a steady rate")
	}
	r.Behind = calls[first].At.Sub(over).Seconds()
	r.Drain = stats.PlainRate(points(history[from:], effects)) / normal
	r.First = float64(stats.Busiest(calls[from:], calls[from].At, time.Second)) / steady
	r.Most = float64(stats.Busiest(calls[from:], calls[from].At.Add(9*time.Second), time.Second)) / steady
	return r, nil
}

func outageTable(kinds []string, outages map[string][]recovery, o ScenarioOptions) result.Table {
	table := result.Table{
		Title: fmt.Sprintf("After an outage of %s with %d jobs waiting: gateway latency %s, %d calls in flight", outageFor, o.jobs(outageJobs), faultsLatency, faultsConcurrency),
		Head:  []string{"the gateway was", "drain rate to the calm rate", "calls in the first second to the steady rate", "calls in the busiest second of the first ten to the steady rate", "first call after, s"},
	}
	for _, kind := range kinds {
		column := func(value func(recovery) float64) string {
			var list []float64
			for _, r := range outages[kind] {
				list = append(list, value(r))
			}
			return stats.Of(list).Text("%.2f")
		}
		table.Rows = append(table.Rows, []string{kind,
			column(func(r recovery) float64 { return r.Drain }), column(func(r recovery) float64 { return r.First }),
			column(func(r recovery) float64 { return r.Most }), column(func(r recovery) float64 { return r.Behind })})
	}
	return table
}
