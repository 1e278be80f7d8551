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
	err := run(t.Context(), []string{"-sync", "-cells", "20ms/16", "-jobs", "400", "-turns", "1", "-out", file}, &out, io.Discard)
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
	if len(r.Turns) != 3 {
		t.Fatalf("%d turns, want one of each contestant", len(r.Turns))
	}
	for _, turn := range r.Turns {
		checkTurn(t, turn)
	}
	writeDocs(t, file)
	if left, _ := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// checkTurn holds a turn to what 16 calls of 20 ms can come to.
func checkTurn(t *testing.T, turn result.Turn) {
	t.Helper()
	const most = 16 / 0.020 // and no fewer than a busy machine does: no contestant paused
	switch {
	case turn.Problem != "":
		t.Errorf("%s: %s", turn.Contestant, turn.Problem)
	case turn.Rate < most/200 || turn.Rate > most*1.1:
		t.Errorf("%s: %.0f jobs/s, can be %.0f at most", turn.Contestant, turn.Rate, most)
	case turn.P50 < 20 || turn.P99 < turn.P50:
		t.Errorf("%s: p50 %.1f ms, p99 %.1f ms, with a gateway that takes 20 ms", turn.Contestant, turn.P50, turn.P99)
	case turn.Contestant != "ceiling" && turn.Samples < 300:
		t.Errorf("%s: %d sampled acks, want those of the 340 jobs in the window", turn.Contestant, turn.Samples)
	case turn.WorkerCPU <= 0 || turn.GatewayCPU <= 0 || turn.PeakRSS < 5<<20:
		t.Errorf("%s: cost %+v", turn.Contestant, turn)
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
		{"-cells", "20ms"}, {"-turns", "0"}, {"-contestants", "unknown"}, {"-scenario", "rain"},
		{"-env", "X"}, {"-also", "=x"}, {"-scale", "0"}, {"cells"}, {"-report", "/nowhere"},
	} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%v was taken", args)
		}
	}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
