package result_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/bench/internal/result"
)

var (
	fast = result.Cell{Concurrency: 64}
	slow = result.Cell{Latency: 20 * time.Millisecond, Concurrency: 256}
)

func round(c result.Cell, n int, who string, rate float64) result.Round {
	return result.Round{Cell: c, Round: n, Candidate: who, Rate: rate, P50: 10, P99: 20, WorkerCPU: 80, BrokerCPU: 30, PeakRSS: 48 << 20}
}

// sample has a candidate that failed in one round and one that always failed.
func sample() result.Run {
	failed := round(fast, 2, "peer", 9000)
	failed.Problem = "3 of 500 jobs not acked"
	never := result.Round{Cell: slow, Round: 1, Candidate: "peer", Problem: "it stopped"}
	return result.Run{
		Command: "go run . -rounds 2", Versions: []result.Version{{Name: "Go", Version: "go1.26"}}, LeftOut: []string{"temporal: no server"},
		Rounds: []result.Round{
			round(slow, 1, "ceiling", 10000), round(slow, 1, "capture-worker", 9500), never,
			round(fast, 1, "ceiling", 1000), round(fast, 1, "capture-worker", 400), round(fast, 1, "peer", 200),
			round(fast, 2, "capture-worker", 600), failed, round(fast, 2, "ceiling", 1000),
		},
	}
}

func TestTables(t *testing.T) {
	var out bytes.Buffer
	sample().WriteReport(&out)
	text := out.String()
	for _, want := range []string{
		"| ceiling | 1000 (1000–1000) | 1 | – | 10.0 | 20.0 | 80 | 30 | 48 |",
		"| capture-worker | 500 (400–600) | 0.50 (0.40–0.60) | – | 10.0",
		"| peer | 200 | 0.20 | –", // the failed round does not count
		"Round 2 of peer does not count: 3 of 500 jobs not acked",
		"| capture-worker | 9500 | 0.95 | –",
		"| peer | no round went well |",
		"Left out: temporal: no server",
		"go run . -rounds 2", "Go go1.26",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	if strings.Index(text, "**0ms/64**") > strings.Index(text, "**20ms/256**") {
		t.Error("the cells are not in order")
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestParseCell(t *testing.T) {
	for _, text := range []string{"0ms/64", "20ms/256", "1.5s/1"} {
		if c, err := result.ParseCell(text); err != nil || c.String() != text {
			t.Errorf("%s: %v, %v", text, c, err)
		}
	}
	if c, err := result.ParseCell("0s/64"); err != nil || c != fast {
		t.Errorf("0s/64: %v, %v", c, err)
	}
	for _, bad := range []string{"", "64", "20/64", "20ms/", "20ms/0", "-1ms/4", "20ms/64/2"} {
		if c, err := result.ParseCell(bad); err == nil {
			t.Errorf("%q: %v, want an error", bad, c)
		}
	}
}

func TestFillKeepsTheRestOfThePage(t *testing.T) {
	const begin, end = "<!-- bench:matrix begins: written by the harness, edits are lost -->", "<!-- bench:matrix ends -->"
	page := "# Title\n" + begin + "\nold\n" + end + "\nafter\n"
	got, err := result.Fill([]byte(page), "matrix", []byte("\nnew\n"))
	if want := "# Title\n" + begin + "\n\nnew\n\n" + end + "\nafter\n"; err != nil || string(got) != want {
		t.Fatalf("got %q, %v", got, err)
	}
	again, err := result.Fill(got, "matrix", []byte("new"))
	if err != nil || !bytes.Equal(again, got) {
		t.Errorf("filled again it differs: %q, %v", again, err)
	}
	for _, bad := range []string{"", begin, end, end + begin} {
		if _, err := result.Fill([]byte(bad), "matrix", nil); err == nil {
			t.Errorf("%q was filled", bad)
		}
	}
}

func TestWriteAndRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run.json")
	if err := result.Write(path, sample()); err != nil {
		t.Fatal(err)
	}
	got, err := result.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	var before, after bytes.Buffer
	sample().WriteReport(&before)
	got.WriteReport(&after)
	if before.String() != after.String() {
		t.Errorf("written and read again it tells:\n%s\ninstead of\n%s", after.String(), before.String())
	}
}

func TestPlot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plot.svg")
	if err := sample().WritePlot(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(text, []byte("<svg")) || !bytes.Contains(text, []byte("capture-worker")) {
		t.Errorf("%v: %.200s", err, text)
	}
}
