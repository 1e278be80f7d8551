// Package imports checks the direction of imports between the packages of this
// module: the domain imports nothing of ours, and inner packages never import
// outer ones.
package imports

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
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
	"internal/cli": {"audit", "capture", "config", "gateway", "gateway/gatewaytest", "ledger", "reconcile", "worker",
		"internal/acts", "internal/archive", "internal/console", "internal/controls", "internal/deadletter", "internal/demo", "internal/export", "internal/finding", "internal/history", "internal/jobfile", "internal/jobstream",
		"internal/natsconn", "internal/preflight", "internal/printable", "internal/records", "internal/service", "internal/subject", "internal/tracing", "internal/withdrawals"},
	"internal/console":         {"capture", "internal/acts", "internal/deadletter", "internal/history", "internal/records"},
	"internal/console/browser": {},
	"internal/demo": {"audit", "capture", "config", "gateway/gatewaytest", "ledger",
		"internal/natsconn", "internal/natsserver", "internal/service"},
	"internal/history": {"capture", "config", "ledger", "internal/controls", "internal/deadletter", "internal/jobstream", "internal/natsconn", "internal/printable"},
	"internal/service": {"capture", "config", "gateway", "ledger", "notify", "reconcile", "worker",
		"internal/archive", "internal/controls", "internal/deadletter", "internal/finding", "internal/jobstream", "internal/metrics", "internal/natsconn", "internal/natsserver",
		"internal/passedover", "internal/preflight", "internal/ratelog", "internal/records", "internal/sdnotify", "internal/tracing", "internal/withdrawals"},
	"gateway":                     {"capture"},
	"gateway/gatewaytest":         {"capture", "gateway"},
	"ledger":                      {"capture", "ledger/internal/appender", "internal/finding"},
	"ledger/internal/appender":    {"capture"},
	"ledger/ledgertest":           {"capture", "ledger"},
	"audit":                       {"capture"},
	"reconcile":                   {"capture", "ledger", "gateway", "internal/breaker"},
	"internal/breaker":            {"capture"},
	"notify":                      {"capture", "ledger", "gateway", "reconcile"},
	"worker":                      {"capture", "ledger", "gateway", "reconcile", "internal/breaker", "internal/controls", "internal/deadletter", "internal/ratelog"},
	"internal/jobstream":          {"capture", "internal/acts", "internal/deadletter", "internal/subject", "internal/finding"},
	"internal/deadletter":         {"capture"},
	"internal/controls":           {"capture", "ledger", "internal/jobstream", "internal/finding"},
	"config":                      {"capture", "gateway", "internal/subject", "internal/finding"},
	"sim":                         {"audit", "capture", "gateway", "ledger", "reconcile", "worker", "internal/breaker", "internal/deadletter"},
	"sim/simulate":                {"sim"},
	"sim/mutants":                 {},
	"internal/imports":            {},
	"internal/finding":            {},
	"internal/natstest":           {"internal/natsserver", "internal/processtest"},
	"internal/npmtest":            {"internal/processtest"},
	"deploy":                      {"config"},
	"docs/examples/go/consume":    {},
	"docs/examples/go/publish":    {},
	"docs/examples/go/withdraw":   {},
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
	"internal/printable":          {},
	"internal/ratelog":            {},
	"internal/subject":            {},
	"internal/suite":              {},
	"internal/tracing":            {"capture", "gateway", "ledger", "worker", "internal/ratelog"},
	"internal/redaction":          {},
	"internal/natsserver":         {"internal/freeport"},
	"internal/passedover":         {"capture", "worker", "internal/controls", "internal/ratelog"},
	"internal/sdnotify":           {},
	"internal/pgtest":             {"internal/freeport", "internal/processtest"},
	"internal/acts":               {},
	"internal/archive":            {"capture", "ledger", "internal/controls", "internal/records"},
	"internal/export":             {"capture", "internal/printable", "internal/records"},
	"internal/records":            {"capture", "ledger", "internal/acts", "internal/deadletter", "internal/ratelog"},
	"internal/monitoring":         {},
	"internal/withdrawals":        {"capture", "reconcile", "internal/deadletter", "internal/ratelog"},
	"internal/preflight":          {"capture", "config", "gateway", "ledger", "internal/acts", "internal/controls", "internal/deadletter", "internal/jobstream", "internal/natsconn", "internal/subject", "internal/finding"},
	"internal/wording":            {},
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

const (
	page   = "../../docs/architecture.md"
	marker = "<!-- imports -->"
)

var update = flag.Bool("update", false, "rewrite the table of docs/architecture.md")

// TestArchitecturePage compares the table of packages with the code.
func TestArchitecturePage(t *testing.T) {
	t.Parallel()
	processtest.LookAtTree(t)
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(b), marker)
	if len(parts) != 3 {
		t.Fatalf("docs/architecture.md must hold %s twice; it holds it %d times", marker, len(parts)-1)
	}
	want := "\n" + table(t)
	if parts[1] == want {
		return
	}
	if !*update {
		t.Fatal("docs/architecture.md does not show the present packages; run: go test ./internal/imports -update")
	}
	if err := os.WriteFile(page, []byte(parts[0]+marker+want+marker+parts[2]), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestWaysExist checks that the files and functions in the tables of the page
// exist.
func TestWaysExist(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	quoted := regexp.MustCompile("`([^`]+)`")
	hops := 0
	for line := range strings.Lines(string(b)) {
		columns := strings.Split(line, "|")
		if len(columns) != 5 || !strings.Contains(columns[2], ".go`") {
			continue
		}
		hops++
		var code strings.Builder
		for _, name := range quoted.FindAllStringSubmatch(columns[2], -1) {
			text, err := os.ReadFile("../../" + name[1])
			if err != nil {
				t.Errorf("%s: %v", strings.TrimSpace(columns[1]), err)
			}
			code.Write(text)
		}
		for _, name := range quoted.FindAllStringSubmatch(columns[3], -1) {
			if !regexp.MustCompile(`(?m)^func (\([^)]*\) )?` + name[1] + `\(`).MatchString(code.String()) {
				t.Errorf("%s: there is no function %s in %s", strings.TrimSpace(columns[1]), name[1], strings.TrimSpace(columns[2]))
			}
		}
	}
	if hops < 15 {
		t.Errorf("only %d hops checked", hops)
	}
}

// table returns the packages of this module as a Markdown table: path, first
// sentence of the package comment, imports of this module.
func table(t *testing.T) string {
	list := exec.Command("go", "list", "-f", "{{if .GoFiles}}{{.ImportPath}}\t{{.Doc}}\t{{join .Imports \" \"}}{{end}}", module+"...")
	list.Dir = "../.."
	out, err := list.Output()
	if err != nil {
		t.Fatalf("listing packages: %v", err)
	}
	var b strings.Builder
	b.WriteString("| package | what it is | imports |\n| --- | --- | --- |\n")
	for line := range strings.Lines(string(out)) {
		columns := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(columns) != 3 || strings.HasPrefix(columns[0], module+"docs/") {
			continue
		}
		var ours []string
		for _, name := range strings.Fields(columns[2]) {
			if name, ok := strings.CutPrefix(name, module); ok {
				ours = append(ours, "`"+name+"`")
			}
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", strings.TrimPrefix(columns[0], module), withoutName(columns[1]), strings.Join(ours, " "))
	}
	return b.String()
}

// withoutName cuts "Package x" or "Command x" from a package comment.
func withoutName(doc string) string {
	if words := strings.SplitN(doc, " ", 3); len(words) == 3 {
		return words[2]
	}
	return doc
}
