//go:build unix

package monitoring

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/internal/processtest"
)

// exported holds the series that a program exports: names with their labels.
type exported struct {
	series   map[string][]string
	families map[string]family
}

type family struct{ name, kind, help string }

var (
	metaLine   = regexp.MustCompile(`^# (HELP|TYPE) (\S+) (.*)$`)
	seriesLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? \S+$`)
	labelName  = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="(?:[^"\\]|\\.)*"`)
)

func parseExported(text string) exported {
	x := exported{series: map[string][]string{}, families: map[string]family{}}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if m := metaLine.FindStringSubmatch(line); m != nil {
			f := x.families[m[2]]
			f.name = m[2]
			if m[1] == "HELP" {
				f.help = m[3]
			} else {
				f.kind = m[3]
			}
			x.families[m[2]] = f
			continue
		}
		if m := seriesLine.FindStringSubmatch(line); m != nil {
			labels := x.series[m[1]]
			for _, l := range labelName.FindAllStringSubmatch(m[2], -1) {
				if !slices.Contains(labels, l[1]) {
					labels = append(labels, l[1])
				}
			}
			x.series[m[1]] = labels
		}
	}
	return x
}

// labels returns the labels of a family without le, which every histogram has.
func (x exported) labels(f family) []string {
	name := f.name
	if f.kind == "histogram" {
		name += "_count"
	}
	labels := slices.Clone(x.series[name])
	slices.Sort(labels)
	return labels
}

// realExported reads the series of a real worker that has captured a trade.
func realExported(t *testing.T) exported {
	t.Helper()
	w := newWorld(t, "exported", startSim(t))
	w.run("CAPTURE_JOBS_MATCH=currency=EUR")
	w.jobs(shipped, "exported", 3)
	w.waitCaptured(3)
	code, text := w.ask("/metrics")
	if code != 200 {
		t.Fatalf("/metrics: %d %s", code, text)
	}
	w.worker.Stop(patience)
	return parseExported(text + reconciled(t, w))
}

// reconciled returns the metrics that reconcile writes for the node exporter.
func reconciled(t *testing.T, w *world) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "reconcile.prom")
	code, out := processtest.Finish(t, patience, "reconcile", w.env("XDG_CACHE_HOME="+t.TempDir()), program,
		"reconcile", "--all", "--rate", "0", "--metrics-file", file)
	if code != 0 {
		t.Fatalf("reconcile: exit code %d: %s", code, out)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// recordsExported reads the series of a real process that keeps records.
func recordsExported(t *testing.T) exported {
	t.Helper()
	w := newWorld(t, "records", startSim(t))
	w.run()
	w.worker.Stop(patience)
	p := processtest.Start(t, "records", w.env("CAPTURE_RECORDS_DSN=records.db", "CAPTURE_RECORDS_LISTEN="+w.admin), program, "records")
	p.Says(`msg="following the ledger"`, 1, patience)
	code, text := w.ask("/metrics")
	if code != 200 {
		t.Fatalf("/metrics: %d %s", code, text)
	}
	p.Stop(patience)
	return parseExported(text)
}

// listedForRecords compares docs/records.md with what the process exports.
func listedForRecords(t *testing.T, x exported) {
	t.Helper()
	page, err := os.ReadFile("../../docs/records.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range x.families {
		if strings.HasPrefix(name, "capture_records_") && !strings.Contains(string(page), "| `"+name+"` |") {
			t.Errorf("docs/records.md does not list %s", name)
		}
	}
}

const (
	tableBegin = "<!-- table: go test ./internal/monitoring -run TestNames -update -->\n"
	tableEnd   = "<!-- end of table -->\n"
	page       = "../../docs/metrics.md"
)

// table returns a Markdown table with a line for each of our metrics.
func (x exported) table() string {
	var names []string
	for name := range x.families {
		if strings.HasPrefix(name, "capture_") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var b strings.Builder
	b.WriteString("| name | kind | labels | what it is |\n| --- | --- | --- | --- |\n")
	for _, name := range names {
		f := x.families[name]
		labels := strings.Join(x.labels(f), ", ")
		if labels == "" {
			labels = "–"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.name, f.kind, labels, f.help)
	}
	return b.String()
}

func comparePage(t *testing.T, x exported) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), tableBegin)
	have, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatal("docs/metrics.md has no comments that mark its table")
	}
	if have == x.table() {
		return
	}
	if !*update {
		t.Fatalf("docs/metrics.md differs from what the program exports; run with -update. It should be:\n%s", x.table())
	}
	if err := os.WriteFile(page, []byte(before+tableBegin+x.table()+tableEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
