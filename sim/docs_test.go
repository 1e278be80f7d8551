package sim_test

import (
	"os"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/sim"
)

// The document lists every fault, in the words of the table in faults.go.
func TestDocumentListsTheFaults(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/simulation.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range sim.Faults() {
		if line := "| `" + f[0] + "` | " + f[1] + " |\n"; !strings.Contains(string(text), line) {
			t.Errorf("docs/simulation.md lacks the line %s", line)
		}
	}
}
