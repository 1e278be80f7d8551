package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// event is a line of `go test -json`.
type event struct {
	Action, Package, Test, Output string
	ImportPath                    string // the package that did not build
	Elapsed                       float64
}

// tally holds the results of the runs.
type tally struct {
	out    io.Writer
	bad    bool
	passed int
	failed map[string]int // number of runs in which each test failed
	skip   map[string]int
	left   map[string]map[string]bool // the tests by missing program
	wrote  map[string][]string        // output by test, in this run
	began  time.Time
}

func newTally(out io.Writer) *tally {
	return &tally{out: out, failed: map[string]int{}, skip: map[string]int{}, left: map[string]map[string]bool{}, began: time.Now()}
}

func (t *tally) begin() { t.wrote = map[string][]string{} }

func (t *tally) read(from io.Reader) {
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadBytes('\n')
		var e event
		if json.Unmarshal(line, &e) == nil && e.Action != "" {
			t.take(e)
		} else if len(line) > 0 {
			fmt.Fprintf(t.out, "%s", line)
		}
		if err != nil {
			return
		}
	}
}

// name returns the name of a test with its package, or of a package.
func (e event) name() string {
	where := strings.TrimPrefix(e.Package, "github.com/capture-worker/capture-worker/")
	if e.Test == "" {
		return where
	}
	return where + " " + e.Test
}

func (t *tally) take(e event) {
	name := e.name()
	switch e.Action {
	case "build-output":
		fmt.Fprint(t.out, e.Output)
	case "output":
		t.wrote[name] = append(t.wrote[name], e.Output)
	case "pass":
		t.end(e, &t.passed)
	case "skip":
		n := t.skip[name]
		t.end(e, &n)
		t.skip[name] = n
	case "fail":
		t.fail(e)
	}
}

// missing matches the reason of a test that cannot run on this machine.
var missing = regexp.MustCompile(`left out: (.*)`)

// end counts a test that has passed or was skipped, and prints a package.
func (t *tally) end(e event, count *int) {
	name := e.name()
	for _, line := range t.wrote[name] {
		if what := missing.FindStringSubmatch(line); what != nil {
			if t.left[what[1]] == nil {
				t.left[what[1]] = map[string]bool{}
			}
			t.left[what[1]][name] = true
		}
	}
	if e.Test != "" {
		*count++
	} else if e.Action == "pass" {
		t.line("ok", e)
	}
	delete(t.wrote, name)
}

func (t *tally) line(how string, e event) {
	note := fmt.Sprintf("%.1fs", e.Elapsed)
	if slices.ContainsFunc(t.wrote[e.name()], func(s string) bool { return strings.Contains(s, "(cached)") }) {
		note = "(cached)"
	}
	fmt.Fprintf(t.out, "%-4s %-28s %s\n", how, e.name(), note)
}

// fail prints the output of a failed test or package.
func (t *tally) fail(e event) {
	name := e.name()
	fmt.Fprint(t.out, strings.Join(t.wrote[name], ""))
	if e.Test == "" {
		t.line("FAIL", e)
		if !t.anyFailedIn(name) {
			t.failed[name]++ // the package did not build, or its process died
		}
	} else {
		t.failed[name]++
	}
	t.bad = true
	delete(t.wrote, name)
}

func (t *tally) anyFailedIn(pkg string) bool {
	for name := range t.failed {
		if strings.HasPrefix(name, pkg+" ") {
			return true
		}
	}
	return false
}

// conclude prints the skipped tests, the failed ones, and the counts.
func (t *tally) conclude(turns int) {
	if len(t.left) > 0 {
		fmt.Fprintln(t.out, "\nLeft out on this machine:")
		for _, what := range slices.Sorted(maps.Keys(t.left)) {
			fmt.Fprintf(t.out, "  %s: %s\n", what, strings.Join(slices.Sorted(maps.Keys(t.left[what])), ", "))
		}
	}
	failed := 0
	for _, name := range slices.Sorted(maps.Keys(t.failed)) {
		failed += t.failed[name]
		if turns > 1 {
			fmt.Fprintf(t.out, "failed in %d of %d runs: %s\n", t.failed[name], turns, name)
		} else {
			fmt.Fprintf(t.out, "failed: %s\n", name)
		}
	}
	skipped := 0
	for _, n := range t.skip {
		skipped += n
	}
	fmt.Fprintf(t.out, "\n%d passed, %d failed, %d skipped\n", t.passed, failed, skipped)
	fmt.Fprintf(t.out, "in %s\n", time.Since(t.began).Round(time.Second))
}
