//go:build unix

package monitoring

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/internal/processtest"
	"go.yaml.in/yaml/v3"
)

// needs returns the path of a program of Debian's prometheus package.
func needs(t *testing.T, name string) string {
	t.Helper()
	return processtest.Needs(t, name, "apt-get install prometheus")
}

// Each alert has a summary, a severity and an entry in the runbook.
func TestAlertsSayWhatToDo(t *testing.T) {
	t.Parallel()
	runbook, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range readRules(t) {
		if seen[r.Alert] {
			t.Errorf("duplicate alert %s", r.Alert)
		}
		seen[r.Alert] = true
		if s := r.Labels["severity"]; s != "page" && s != "ticket" {
			t.Errorf("%s: severity %q", r.Alert, s)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s has no summary or description", r.Alert)
		}
		_, anchor, _ := strings.Cut(r.Annotations["runbook_url"], "/docs/operations.md#")
		if anchor != strings.ToLower(r.Alert) || !strings.Contains(string(runbook), "\n### "+r.Alert+"\n") {
			t.Errorf("%s: the runbook has no entry for %q", r.Alert, r.Annotations["runbook_url"])
		}
	}
	for line := range strings.Lines(string(runbook)) {
		if name, ok := strings.CutPrefix(line, "### Capture"); ok && !seen["Capture"+strings.TrimSpace(name)] {
			t.Errorf("the runbook has an entry for an alert that does not exist: %s", line)
		}
	}
}

// Each alert has a test case in which it fires and one in which it does not.
func TestEveryAlertHasUnitTests(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../deploy/prometheus/rules_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Tests []struct {
			Cases []struct {
				Name string `yaml:"alertname"`
				Exp  []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	fires, quiet, stops := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, test := range doc.Tests {
		fired := map[string]bool{}
		for _, c := range test.Cases {
			if len(c.Exp) > 0 {
				fires[c.Name], fired[c.Name] = true, true
			} else if fired[c.Name] {
				stops[c.Name] = true
			} else {
				quiet[c.Name] = true
			}
		}
	}
	for _, r := range readRules(t) {
		if !fires[r.Alert] || !quiet[r.Alert] || !stops[r.Alert] {
			t.Errorf("%s: quiet before %t, fires %t, stops %t", r.Alert, quiet[r.Alert], fires[r.Alert], stops[r.Alert])
		}
	}
}

func TestPromtoolTestsTheRules(t *testing.T) {
	t.Parallel()
	tool := needs(t, "promtool")
	for _, args := range [][]string{{"check", "rules", "rules.yaml"}, {"test", "rules", "rules_test.yaml"}} {
		cmd := exec.CommandContext(t.Context(), tool, args...)
		cmd.Dir = "../../deploy/prometheus"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// The queries of the dashboard are valid PromQL: promtool checks them as recording
// rules.
func TestPromtoolReadsTheDashboard(t *testing.T) {
	t.Parallel()
	tool := needs(t, "promtool")
	var rules []map[string]string
	for i, q := range dashboardQueries(t) {
		rules = append(rules, map[string]string{"record": fmt.Sprintf("panel:%d", i), "expr": q.expr})
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "dashboard.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), tool, "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
