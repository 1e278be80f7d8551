package main

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/capture-worker/capture-worker/bench/internal/result"
)

// TestTinyCell runs everything for real, a few hundred jobs of it, and writes
// the documentation of that. It downloads and builds all programs first, so
// that only the bound of the test run bounds it.
func TestTinyCell(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("what processes cost is read from Linux's /proc")
	}
	t.Setenv("TMPDIR", t.TempDir())
	file := filepath.Join(t.TempDir(), "run.json")
	var out strings.Builder
	err := run(t.Context(), []string{"-sync", "-cells", "20ms/16", "-jobs", "400", "-rounds", "1", "-out", file}, &out, io.Discard)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	r, err := result.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Sync {
		t.Error("the run does not tell that the server synced")
	}
	if len(r.Rounds) != 3 {
		t.Fatalf("%d rounds, want one of each candidate", len(r.Rounds))
	}
	for _, round := range r.Rounds {
		checkRound(t, round)
	}
	writeDocs(t, file)
	if left, _ := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// checkRound holds a round to what 16 calls of 20 ms can come to.
func checkRound(t *testing.T, round result.Round) {
	t.Helper()
	const most = 16 / 0.020 // and no fewer than a busy machine does: no candidate paused
	switch {
	case round.Problem != "":
		t.Errorf("%s: %s", round.Candidate, round.Problem)
	case round.Rate < most/200 || round.Rate > most*1.1:
		t.Errorf("%s: %.0f jobs/s, can be %.0f at most", round.Candidate, round.Rate, most)
	case round.P50 < 20 || round.P99 < round.P50:
		t.Errorf("%s: p50 %.1f ms, p99 %.1f ms, with a gateway that takes 20 ms", round.Candidate, round.P50, round.P99)
	case round.Candidate != "ceiling" && round.Samples < 300:
		t.Errorf("%s: %d sampled acks, want those of the 340 jobs in the window", round.Candidate, round.Samples)
	case round.WorkerCPU <= 0 || round.GatewayCPU <= 0 || round.PeakRSS < 5<<20:
		t.Errorf("%s: cost %+v", round.Candidate, round)
	}
}

func writeDocs(t *testing.T, file string) {
	t.Helper()
	docs := t.TempDir()
	page, err := os.ReadFile("../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(docs, "performance.md")
	if err := os.WriteFile(path, page, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"-report", file, "-docs", docs}, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	written, _ := os.ReadFile(path)
	if !strings.Contains(string(written), "**20ms/16**") {
		t.Errorf("the page does not tell what was measured:\n%s", written)
	}
	if svg, err := os.Stat(filepath.Join(docs, "performance.svg")); err != nil || svg.Size() == 0 {
		t.Errorf("the plot: %v", err)
	}
}

func TestWrongOptions(t *testing.T) {
	for _, args := range [][]string{
		{"-cells", "20ms"}, {"-rounds", "0"}, {"-candidates", "unknown"}, {"-scenario", "rain"},
		{"-env", "X"}, {"-also", "=x"}, {"-scale", "0"}, {"cells"}, {"-report", "/nowhere"},
	} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%v was taken", args)
		}
	}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
