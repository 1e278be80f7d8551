// Package arrows holds the direction of imports: the domain knows nobody, and
// whoever is further in never imports who is further out.
package arrows

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/internal/processtest"
)

const module = "github.com/capture-worker/capture-worker/"

// allowed names, for each package, the packages of ours that it may import.
// One that is not listed may not exist: who adds a package decides where it
// stands.
var allowed = map[string][]string{
	"capture":            {},
	"cmd/capture-worker": {"internal/cli"},
	"internal/cli": {"audit", "capture", "config", "gateway", "gateway/gatewaytest", "ledger", "reconcile", "worker",
		"internal/demo", "internal/history", "internal/natsconn", "internal/preflight", "internal/service", "internal/subject", "internal/tracing"},
	"internal/demo": {"audit", "capture", "config", "gateway/gatewaytest", "ledger",
		"internal/natsconn", "internal/natsserver", "internal/service"},
	"internal/history": {"capture", "config", "ledger", "worker", "internal/natsconn"},
	"internal/service": {"capture", "config", "gateway", "ledger", "notify", "reconcile", "worker",
		"internal/metrics", "internal/natsconn", "internal/natsserver", "internal/preflight", "internal/sdnotify",
		"internal/seldom", "internal/tracing"},
	"gateway":                     {"capture"},
	"gateway/gatewaytest":         {"capture", "gateway"},
	"ledger":                      {"capture"},
	"ledger/ledgertest":           {"capture", "ledger"},
	"audit":                       {"capture"},
	"reconcile":                   {"capture", "ledger", "gateway"},
	"notify":                      {"capture", "ledger", "gateway", "reconcile"},
	"worker":                      {"capture", "ledger", "gateway", "reconcile", "internal/seldom", "internal/subject"},
	"config":                      {"capture", "gateway", "internal/subject"},
	"sim":                         {"audit", "capture", "gateway", "ledger", "reconcile", "worker"},
	"sim/simulate":                {"sim"},
	"sim/mutants":                 {},
	"internal/arrows":             {},
	"internal/npmtest":            {"internal/processtest"},
	"deploy":                      {"config"},
	"docs/examples/go/consume":    {},
	"docs/examples/go/publish":    {},
	"internal/examples":           {"capture", "ledger", "worker"},
	"internal/schemas/schematest": {},
	"internal/schemas":            {"capture"},
	"internal/cluster":            {},
	"internal/e2e":                {},
	"internal/metrics":            {"capture", "gateway", "ledger", "worker"},
	"internal/load":               {},
	"internal/loopback":           {},
	"internal/natsconn":           {"internal/seldom"},
	"internal/processtest":        {"capture", "internal/loopback"},
	"internal/seldom":             {},
	"internal/subject":            {},
	"internal/suite":              {},
	"internal/tracing":            {"capture", "gateway", "ledger", "worker", "internal/seldom"},
	"internal/redaction":          {},
	"internal/natsserver":         {"internal/loopback"},
	"internal/sdnotify":           {},
	"internal/watch":              {},
	"internal/preflight":          {"capture", "config", "gateway", "ledger", "worker", "internal/natsconn", "internal/subject"},
}

func TestArrowsPointInward(t *testing.T) {
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
			t.Errorf("%s is not listed: say in this test what it may import", of)
		}
		for _, name := range names[1:] {
			if ours, ok := strings.CutPrefix(name, module); ok && !slices.Contains(may, ours) {
				t.Errorf("%s imports %s, which points outward", of, ours)
			}
		}
	}
	if seen < 5 {
		t.Errorf("only %d packages were looked at", seen)
	}
}

// The domain is pure: no clock, no I/O, no context, nothing random.
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
