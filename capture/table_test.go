package capture_test

import (
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
)

var update = flag.Bool("update", false, "rewrite docs/state-machine.md and the transcripts in testdata")

const machineFile = "../docs/state-machine.md"

// TestStateMachineDocument holds the page equal to the tables, and its diagram
// to what a walk of the machine finds. -update rewrites it.
func TestStateMachineDocument(t *testing.T) {
	x := explore(t)
	want := capture.StateMachine(slices.Collect(maps.Keys(x.edges))) + refusalTable(t)
	if *update {
		if err := os.WriteFile(machineFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(machineFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the tables say; run go test ./capture -run TestStateMachineDocument -update", machineFile)
	}
}

// TestRowsAreNamedOnce: an event's rule leads to one row of its table.
func TestRowsAreNamedOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range capture.Rows() {
		if k := r.Table + "/" + r.Name; seen[k] {
			t.Errorf("two rows are named %s", k)
		} else {
			seen[k] = true
		}
		if r.Name == "" || r.Rule == "" || r.If == "" || r.Then == "" || strings.Contains(r.If+r.Then, "|") {
			t.Errorf("row %+v cannot be printed", r)
		}
	}
}
