package sim_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/sim"
)

var (
	seeds = flag.Int("seeds", 2000, "how many seeds to run")
	start = flag.Uint64("start", 1, "the first of them")
)

// fail prints a shrunken failure.
func fail(t *testing.T, p sim.Plan) {
	t.Helper()
	var text strings.Builder
	r := sim.Shrink(p)
	r.Describe(&text)
	t.Fatalf("seed %d breaks rule %s; shrunken:\n%s", p.Seed, r.Violation.Rule, text.String())
}

func TestSeeds(t *testing.T) {
	t.Parallel()
	m := sim.Many{Start: *start, Seeds: *seeds}
	report := m.Run(t.Context())
	t.Log("\n" + report.Counts.Table())
	if report.Failed != nil {
		fail(t, *report.Failed)
	}
}

func TestCrashPoints(t *testing.T) {
	t.Parallel()
	m := sim.Many{Start: *start, Seeds: 20, CrashPoints: true}
	report := m.Run(t.Context())
	t.Log("\n" + report.Counts.Table())
	if report.Failed != nil {
		fail(t, *report.Failed)
	}
}

// The same seed has the same history, byte for byte.
func TestHistoriesRepeat(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		var first, second strings.Builder
		sim.Run(sim.NewPlan(seed), &first)
		sim.Run(sim.NewPlan(seed), &second)
		if first.String() != second.String() {
			t.Fatalf("seed %d has two histories:\n%s", seed, firstDifference(first.String(), second.String()))
		}
	}
}

func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return x[i] + "\n" + y[i]
		}
	}
	return "one is longer"
}

var _ = os.Stdout
