package sim_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/sim"
)

var (
	seeds  = flag.Int("seeds", 2000, "how many seeds to run")
	start  = flag.Uint64("start", 1, "the first of them")
	update = flag.Bool("update", false, "rewrite the golden histories")
)

// raced divides the numbers of seeds under the race detector.
var raced = 1

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// check runs many histories; a failure is printed shrunken.
func check(t *testing.T, m *sim.Many) sim.Report {
	t.Helper()
	report := m.Run(t.Context())
	t.Logf("%s", report.Counts.Table())
	if report.Failed == nil {
		return report
	}
	r := sim.Shrink(*report.Failed)
	var text strings.Builder
	r.Describe(&text)
	t.Fatalf("seed %d breaks a rule; shrunken:\n%s", report.Failed.Seed, text.String())
	return report
}

// A slice of the seeds; make sim runs as many as one likes.
func TestSeeds(t *testing.T) {
	n := *seeds / raced
	if testing.Short() {
		n = min(n, 200)
	}
	report := check(t, &sim.Many{Start: *start, Seeds: n})
	if n < 2000 {
		return
	}
	for _, row := range capture.Rows() {
		if report.Counts.Rows[row.Name] == 0 && !slices.Contains(silentRows, row.Name) {
			t.Errorf("no history reaches row %q of table %s", row.Name, row.Table)
		}
	}
}

// A gateway that refuses every repeated request_id and answers a quarter of the
// calls with -1000 gets every trade captured, and none parked (rule 4).
func TestRepeatsRefused(t *testing.T) {
	n := 1000 / raced // of 20 trades each
	if testing.Short() {
		n = 50
	}
	got := check(t, &sim.Many{Start: 1, Seeds: n, Plan: sim.RepeatsRefused}).Counts
	if got.ParkedOnce+got.FailedLast > 0 || got.Captured != got.Trades {
		t.Errorf("of %d trades %d captured, %d parked, %d failed", got.Trades, got.Captured, got.ParkedOnce, got.FailedLast)
	}
}

// On a hostile day nothing is captured twice, nothing that was paid is failed,
// and few trades wait for an operator. docs/simulation.md has the figure.
func TestHostileDay(t *testing.T) {
	n := 400 / raced // of 20 trades each
	if testing.Short() {
		n = 50
	}
	got := check(t, &sim.Many{Start: 1, Seeds: n, Plan: sim.HostileDay}).Counts
	if got.Twice+got.FailedPaid > 0 || len(got.Broken) > 0 {
		t.Errorf("%d captured twice, %d failed though paid, broken rules %v", got.Twice, got.FailedPaid, got.Broken)
	}
	if most := 1 + got.Trades/200; got.ParkedOnce > most || got.FailedLast > 1+got.Trades/2000 {
		t.Errorf("of %d trades %d parked (at most %d), %d failed", got.Trades, got.ParkedOnce, most, got.FailedLast)
	}
}

// silentRows write nothing and end nothing, so they are not counted.
var silentRows = []string{"ask", "already captured", "late answer"}

// Every crossing of a boundary in the histories of some seeds is a crash point.
func TestCrashPoints(t *testing.T) {
	n := max(12/raced, 1)
	if testing.Short() {
		n = 2
	}
	check(t, &sim.Many{Start: 101, Seeds: n, CrashPoints: true})
}

// The same seed has the same history, byte for byte, also when others run at
// the same time.
func TestHistoriesRepeat(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			first, second := history(seed), history(seed)
			if first != second {
				t.Errorf("two histories: %s", difference(first, second))
			}
		})
	}
}

func history(seed uint64) string {
	var b strings.Builder
	sim.Run(sim.NewPlan(seed), &b)
	return b.String()
}

// What the seeds meant when the files were written they mean today. A
// change of the rules, the schedule or the simulation changes them
// on purpose; go test ./sim -update then rewrites the files.
func TestGoldenHistories(t *testing.T) {
	for _, seed := range []uint64{48, 9, 47} {
		name := filepath.Join("testdata", fmt.Sprintf("seed-%d.txt", seed))
		got := history(seed)
		if *update {
			if err := os.WriteFile(name, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("seed %d: %s", seed, difference(string(want), got))
		}
	}
}

func difference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d was\n%s\nand is\n%s", i+1, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines were %d", len(b), len(a))
}

// Plans that let requests land after the settle time break what the rules rest
// on. Held to the same rules as the others, some of them must fail: the checks
// would notice if the settle time were too short.
func TestChecksNoticeABrokenAssumption(t *testing.T) {
	for seed := uint64(7); seed < 8*200; seed += 8 {
		p := sim.NewPlan(seed)
		if !p.Wild {
			t.Fatalf("seed %d is not wild", seed)
		}
		p.Wild = false
		if r := sim.Run(p, nil); r.Violation != nil && strings.Contains("2 3 5", r.Violation.Rule) {
			t.Logf("seed %d: %s", seed, r.Violation)
			return
		}
	}
	t.Error("requests land after the settle time, and no check noticed")
}

// A failure shrinks to what it takes, and breaks the same rule.
func TestShrink(t *testing.T) {
	for seed := uint64(7); seed < 8*200; seed += 8 {
		p := sim.NewPlan(seed)
		p.Wild = false
		whole := sim.Run(p, nil)
		if whole.Violation == nil || len(p.Trades) < 2 {
			continue
		}
		less := sim.Shrink(p)
		if less.Violation == nil || less.Violation.Rule != whole.Violation.Rule {
			t.Fatalf("seed %d broke %s; shrunken it breaks %v", seed, whole.Violation, less.Violation)
		}
		if len(less.Plan.Trades) >= len(p.Trades) {
			t.Errorf("seed %d kept all %d trades", seed, len(p.Trades))
		}
		return
	}
	t.Fatal("no seed failed")
}
