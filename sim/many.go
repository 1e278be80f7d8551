package sim

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// Many runs histories in parallel. Each is made by one goroutine, and the number of
// goroutines changes none of them.
type Many struct {
	Start    uint64 // the first seed
	Seeds    int
	Parallel int // 0: one for each processor
	// CrashPoints makes each seed's history once without a crash point, and once
	// for every crossing of a boundary in it, with a crash of the worker at that
	// crossing.
	CrashPoints bool
	// Plan returns the plan of a seed; nil is NewPlan.
	Plan func(seed uint64) Plan
	// Done is the number of seeds that are done, to show progress.
	Done atomic.Int64
}

// Report sums up many histories.
type Report struct {
	Counts Counts
	// Failed is the plan with the lowest seed that broke a rule, nil if none
	// did. Seeds after it may not have been run.
	Failed *Plan
}

// Run makes the histories until one breaks a rule or ctx ends.
func (m *Many) Run(ctx context.Context) Report {
	var (
		next    atomic.Int64
		mu      sync.Mutex
		workers sync.WaitGroup
		report  Report
		lowest  atomic.Int64
	)
	lowest.Store(int64(m.Seeds))
	n := m.Parallel
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	for range n {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < lowest.Load() && ctx.Err() == nil; i = next.Add(1) - 1 {
				counts, failed := m.seed(m.Start + uint64(i))
				m.Done.Add(1)
				mu.Lock()
				report.Counts.Add(counts)
				if failed != nil && i < lowest.Load() {
					lowest.Store(i)
					report.Failed = failed
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	return report
}

// seed makes the history of one seed, and those of its crash points.
func (m *Many) seed(seed uint64) (Counts, *Plan) {
	plan := m.Plan
	if plan == nil {
		plan = NewPlan
	}
	p := plan(seed)
	base := Run(p, nil)
	if base.Violation != nil {
		return base.Counts, &p
	}
	sum := base.Counts
	if !m.CrashPoints {
		return sum, nil
	}
	for k := 1; k <= base.Counts.Crossed; k++ {
		p.CrashAt = k
		r := Run(p, nil)
		sum.Add(r.Counts)
		if r.Violation != nil {
			return sum, &p
		}
	}
	return sum, nil
}
