package capture_test

import (
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

var update = flag.Bool("update", false, "rewrite docs/state-machine.md and the transcripts in testdata")

const machineFile = "../docs/state-machine.md"

// TestStateMachineDiagram holds the diagram to what a walk of the machine finds.
func TestStateMachineDiagram(t *testing.T) {
	processtest.Long(t)
	if page := readMachine(t); page != machine(t) {
		t.Errorf("the diagram in %s is not what the tables lead to; run CAPTURE_TEST=verify go test ./capture -run StateMachine -update", machineFile)
	}
}

func readMachine(t *testing.T) string {
	page, err := os.ReadFile(machineFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

func machine(t *testing.T) string {
	x := explore(t)
	return capture.StateMachine(slices.Collect(maps.Keys(x.edges))) + refusalTable(t)
}

// withoutDiagram leaves out what a short walk does not find all of.
func withoutDiagram(page string) string {
	before, rest, _ := strings.Cut(page, "```mermaid")
	_, after, _ := strings.Cut(rest, "```")
	return before + after
}

// TestStateMachineDocument holds the page equal to the tables. -update rewrites
// it, with the diagram, if CAPTURE_TEST is verify.
func TestStateMachineDocument(t *testing.T) {
	if *update {
		if !processtest.Verify() {
			t.Fatal("the diagram needs the long walk: set CAPTURE_TEST=verify")
		}
		if err := os.WriteFile(machineFile, []byte(machine(t)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := capture.StateMachine(nil) + refusalTable(t)
	if withoutDiagram(readMachine(t)) != withoutDiagram(want) {
		t.Errorf("%s is not what the tables say; run CAPTURE_TEST=verify go test ./capture -run StateMachine -update", machineFile)
	}
}

// TestRowsAreNamedOnce checks that an event's rule leads to one row of its table.
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
