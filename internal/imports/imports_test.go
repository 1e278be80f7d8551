// Package imports checks the direction of imports between the packages of this
// module: the domain imports nothing of ours, and inner packages never import
// outer ones.
package imports

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/internal/processtest"
)

const module = "github.com/capture-worker/capture-worker/"

// allowed lists, for each package, the packages of this module that it may
// import. A package that is not listed fails the test.
var allowed = map[string][]string{
	"capture":            {},
	"cmd/capture-worker": {"internal/cli"},
	"internal/cli": {"audit", "capture", "config", "gateway", "gateway/gatewaytest", "ledger", "notify", "reconcile", "worker",
		"internal/checkup", "internal/controls", "internal/deadletter", "internal/jobstream", "internal/metrics", "internal/natsconn", "internal/natsserver", "internal/records", "internal/sdnotify",
		"internal/jobfile", "internal/ratelog", "internal/subject", "internal/tracing"},
	"gateway":                     {"capture"},
	"gateway/gatewaytest":         {"capture", "gateway"},
	"ledger":                      {"capture", "ledger/internal/appender"},
	"ledger/internal/appender":    {"capture"},
	"ledger/ledgertest":           {"capture", "ledger"},
	"audit":                       {"capture"},
	"reconcile":                   {"capture", "ledger", "gateway"},
	"notify":                      {"capture", "ledger", "gateway", "reconcile"},
	"worker":                      {"capture", "ledger", "gateway", "reconcile", "internal/controls", "internal/deadletter", "internal/ratelog"},
	"internal/jobstream":          {"internal/deadletter", "internal/subject"},
	"internal/deadletter":         {"capture"},
	"internal/controls":           {"capture", "ledger", "internal/jobstream"},
	"config":                      {"capture", "gateway", "internal/subject"},
	"sim":                         {"audit", "capture", "gateway", "ledger", "reconcile", "worker", "internal/deadletter"},
	"sim/simulate":                {"sim"},
	"sim/mutants":                 {},
	"internal/imports":            {},
	"internal/npmtest":            {"internal/processtest"},
	"deploy":                      {"config"},
	"docs/examples/go/consume":    {},
	"docs/examples/go/publish":    {},
	"internal/examples":           {"capture", "ledger", "worker"},
	"internal/schemas/schematest": {},
	"internal/schemas":            {"capture"},
	"internal/cluster":            {},
	"internal/e2e":                {},
	"internal/metrics":            {"capture", "gateway", "ledger", "worker", "internal/deadletter"},
	"internal/jobfile":            {"capture"},
	"internal/load":               {},
	"internal/freeport":           {},
	"internal/natsconn":           {"internal/ratelog"},
	"internal/processtest":        {"capture", "internal/freeport"},
	"internal/ratelog":            {},
	"internal/subject":            {},
	"internal/suite":              {},
	"internal/tracing":            {"capture", "gateway", "ledger", "worker", "internal/ratelog"},
	"internal/redaction":          {},
	"internal/natsserver":         {"internal/freeport"},
	"internal/sdnotify":           {},
	"internal/pgtest":             {"internal/freeport", "internal/processtest"},
	"internal/records":            {"capture", "ledger", "internal/deadletter", "internal/ratelog"},
	"internal/monitoring":         {},
	"internal/checkup":            {"capture", "config", "gateway", "ledger", "internal/controls", "internal/deadletter", "internal/jobstream", "internal/natsconn", "internal/subject"},
}

func TestImportsPointInward(t *testing.T) {
	t.Parallel()
	processtest.LookAtTree(t)
	list := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", module+"...")
	list.Dir = "../.."
	out, err := list.Output()
	if err != nil {
		t.Fatalf("listing packages: %v", err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		names := strings.Fields(line)
		of, ok := strings.CutPrefix(names[0], module)
		if !ok {
			continue
		}
		seen++
		may, listed := allowed[of]
		if !listed {
			t.Errorf("%s is not in the list allowed: add it with the packages that it may import", of)
		}
		for _, name := range names[1:] {
			if ours, ok := strings.CutPrefix(name, module); ok && !slices.Contains(may, ours) {
				t.Errorf("%s imports %s, which the list allowed does not permit", of, ours)
			}
		}
	}
	if seen < 5 {
		t.Errorf("only %d packages checked", seen)
	}
}

// TestDomainIsPure checks that capture uses no clock, I/O, context or randomness.
func TestDomainIsPure(t *testing.T) {
	t.Parallel()
	processtest.LookAtTree(t)
	list := exec.Command("go", "list", "-f", "{{join .Imports \"\\n\"}}", module+"capture")
	list.Dir = "../.."
	out, err := list.Output()
	if err != nil {
		t.Fatalf("listing the imports of capture: %v", err)
	}
	for _, name := range strings.Fields(string(out)) {
		for _, impure := range []string{"context", "os", "io", "net", "net/http", "log", "log/slog", "math/rand", "math/rand/v2", "crypto/rand", "sync", "database/sql"} {
			if name == impure {
				t.Errorf("capture imports %s", name)
			}
		}
	}
	uses := exec.Command("grep", "-nE", `time\.(Now|Since|Until|Sleep|After|NewTimer)\b`, "-r", "--include=*.go", "--exclude=*_test.go", "capture")
	uses.Dir = "../.."
	if out, _ := uses.Output(); len(out) > 0 {
		t.Errorf("capture reads the clock:\n%s", out)
	}
}
