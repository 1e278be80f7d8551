package sim

import (
	"fmt"
	"io"
	"slices"
)

// Shrink removes parts of a plan that breaks a rule, one at a time, as long as the
// same rule still breaks, and returns the smallest plan.
func Shrink(p Plan) Result {
	best := Run(p, nil)
	if best.Violation == nil {
		return best
	}
	for again := true; again; {
		again = false
		for _, smaller := range reductions(best.Plan, best.Counts) {
			r := Run(smaller, nil)
			if r.Violation != nil && r.Violation.Rule == best.Violation.Rule {
				best, again = r, true
				break
			}
		}
	}
	return best
}

// reductions returns the plans with one part less, large parts first.
func reductions(p Plan, met Counts) []Plan {
	var list []Plan
	for i := range p.Trades {
		if len(p.Trades) > 1 {
			list = append(list, p.with(func(q *Plan) { q.Trades = slices.Delete(q.Trades, i, i+1) }))
		}
	}
	for i := range p.Accidents {
		list = append(list, p.with(func(q *Plan) { q.Accidents = slices.Delete(q.Accidents, i, i+1) }))
	}
	if len(p.Workers) > 1 {
		list = append(list, p.with(func(q *Plan) { q.Workers = q.Workers[:len(q.Workers)-1] }))
	}
	for i, t := range p.Trades {
		list = append(list, lessOf(p, i, t)...)
	}
	if p.CrashAt > 0 {
		list = append(list, p.with(func(q *Plan) { q.CrashAt = 0 }))
	}
	for f := NoFault + 1; f < faultCount; f++ {
		if met.Faults[f] > 0 && !p.Off[f] {
			list = append(list, p.with(func(q *Plan) { q.Off[f] = true }))
		}
	}
	for i, w := range p.Workers {
		if w.Skew != 0 {
			list = append(list, p.with(func(q *Plan) { q.Workers[i].Skew = 0 }))
		}
	}
	return list
}

// lessOf returns the plans with less of one trade.
func lessOf(p Plan, i int, t TradePlan) []Plan {
	var list []Plan
	for j := range t.Jobs {
		if len(t.Jobs) > 1 {
			list = append(list, p.with(func(q *Plan) { q.Trades[i].Jobs = slices.Delete(q.Trades[i].Jobs, j, j+1) }))
		}
	}
	if len(t.Looks) > 0 {
		list = append(list, p.with(func(q *Plan) { q.Trades[i].Looks = nil }))
	}
	if t.Release > 0 {
		list = append(list, p.with(func(q *Plan) { q.Trades[i].Release = 0 }))
	}
	return list
}

// with returns a changed copy.
func (p Plan) with(change func(*Plan)) Plan {
	p.Workers, p.Accidents, p.Trades = slices.Clone(p.Workers), slices.Clone(p.Accidents), slices.Clone(p.Trades)
	for i := range p.Trades {
		p.Trades[i].Jobs = slices.Clone(p.Trades[i].Jobs)
	}
	change(&p)
	return p
}

// Describe writes the plan of a history, and then the history.
func (r Result) Describe(w io.Writer) {
	p := r.Plan
	fmt.Fprintf(w, "seed %d, %s, wild: %t, faults end at %s, gateway %+v\n", p.Seed, p.Mood, p.Wild, p.FaultsEnd, p.Gateway)
	for _, k := range p.Workers {
		fmt.Fprintf(w, "worker %s: clock error %s, %d slots, %d jobs in flight, %d places in the delay pool\n", k.Name, k.Skew, k.Slots, k.Hands, k.Room)
	}
	for _, t := range p.Trades {
		fmt.Fprintf(w, "trade %s: %s, %s at the gateway, known: %t, expires after %s, %d jobs\n",
			t.ID, t.Authorized, t.Begins, t.Known, t.Expires, len(t.Jobs))
	}
	for _, a := range p.Accidents {
		fmt.Fprintf(w, "accident at %s: %s, worker %d, for %s\n", a.At, a.Kind, a.Worker+1, a.For)
	}
	for f := NoFault + 1; f < faultCount; f++ {
		if n := r.Counts.Faults[f]; n > 0 {
			fmt.Fprintf(w, "fault %s: %d times (%s)\n", f, n, faultTable[f].text)
		}
	}
	if p.CrashAt > 0 {
		fmt.Fprintf(w, "crash point %d\n", p.CrashAt)
	}
	Run(p, w)
	if r.Violation != nil {
		fmt.Fprintf(w, "broken: %s\n", r.Violation)
	}
}
