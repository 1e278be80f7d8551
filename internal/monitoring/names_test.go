//go:build unix

package monitoring

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const (
	rulesFile     = "../../deploy/prometheus/rules.yaml"
	dashboardFile = "../../deploy/grafana/dashboard.json"
)

// query is a PromQL expression and its location.
type query struct{ where, expr string }

type rule struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func readRules(t *testing.T) []rule {
	t.Helper()
	text, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct{ Groups []struct{ Rules []rule } }
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Groups) != 1 || len(doc.Groups[0].Rules) < 9 {
		t.Fatalf("unexpected structure of rules.yaml: %+v", doc)
	}
	return doc.Groups[0].Rules
}

type panel struct {
	ID          int
	Type, Title string
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct{ Expr, RefID string }
}

func readDashboard(t *testing.T) (panels []panel) {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		UID, Title string
		Panels     []panel
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.UID == "" || doc.Title == "" || len(doc.Panels) < 20 {
		t.Fatalf("unexpected structure of dashboard.json: %q, %d panels", doc.Title, len(doc.Panels))
	}
	return doc.Panels
}

func dashboardQueries(t *testing.T) (list []query) {
	t.Helper()
	// Values for the variables of Grafana.
	put := strings.NewReplacer("$job", ".*", "$__rate_interval", "5s")
	for _, p := range readDashboard(t) {
		for _, target := range p.Targets {
			list = append(list, query{"panel " + p.Title, put.Replace(target.Expr)})
		}
	}
	return list
}

// Every name in a query is exported by a real worker, and docs/metrics.md lists
// what it exports.
func TestNamesAreThoseOfTheProgram(t *testing.T) {
	t.Parallel()
	x := realExported(t)
	comparePage(t, x)
	records := recordsExported(t)
	listedForRecords(t, records)
	maps.Copy(x.series, records.series)
	queries := dashboardQueries(t)
	for _, r := range readRules(t) {
		queries = append(queries, query{"alert " + r.Alert, r.Expr})
	}
	for _, q := range queries {
		for _, wrong := range x.wrongNames(q.expr) {
			t.Errorf("%s: %s: %s", q.where, wrong, q.expr)
		}
	}
}

// Checks that wrongNames finds wrong names.
func TestWrongNamesAreFound(t *testing.T) {
	t.Parallel()
	x := exported{series: map[string][]string{"capture_a": {"x"}}}
	for expr, want := range map[string]int{
		`sum by (x) (rate(capture_a{x="1",job="j"}[5m])) > 0 unless on (job) capture_a`: 0,
		`capture_b`:              1,
		`capture_a{y="1"}`:       1,
		`sum by (y) (capture_a)`: 1,
		`nosuch(capture_a)`:      1,
	} {
		if got := x.wrongNames(expr); len(got) != want {
			t.Errorf("%s: %v, want %d", expr, got, want)
		}
	}
}

var (
	quoted   = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	ranges   = regexp.MustCompile(`\[[^\]]*\]`)
	grouping = regexp.MustCompile(`\b(by|on|without|ignoring|group_left|group_right)\s*\(([^)]*)\)`)
	selector = regexp.MustCompile(`\b([a-zA-Z_:][a-zA-Z0-9_:]*)\s*\{([^}]*)\}`)
	word     = regexp.MustCompile(`\b[a-zA-Z_:][a-zA-Z0-9_:]*\b`)

	// PromQL keywords in our queries, and the labels that Prometheus adds.
	spoken = strings.Fields("sum min max count rate increase max_over_time group_left histogram_quantile time absent and or unless")
	added  = []string{"job", "instance"}
)

// wrongNames returns the names in an expression that the program does not export.
// It handles the part of PromQL that our queries use; promtool checks the grammar.
func (x exported) wrongNames(expr string) (wrong []string) {
	expr = ranges.ReplaceAllString(quoted.ReplaceAllString(expr, `""`), "")
	has := slices.Clone(added)
	var grouped []string
	for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
		grouped = append(grouped, word.FindAllString(g[2], -1)...)
	}
	expr = grouping.ReplaceAllString(expr, "")
	for _, s := range selector.FindAllStringSubmatch(expr, -1) {
		for _, label := range word.FindAllString(s[2], -1) {
			if !slices.Contains(x.series[s[1]], label) && !slices.Contains(added, label) {
				wrong = append(wrong, s[1]+" has no label "+label)
			}
		}
	}
	expr = selector.ReplaceAllString(expr, "$1")
	for _, name := range word.FindAllString(expr, -1) {
		labels, known := x.series[name]
		switch {
		case known:
			has = append(has, labels...)
		case !slices.Contains(spoken, name):
			wrong = append(wrong, "there is no "+name)
		}
	}
	for _, label := range grouped {
		if !slices.Contains(has, label) {
			wrong = append(wrong, "nothing has the label "+label)
		}
	}
	return wrong
}

// Grafana reports no error for panels that overlap or are outside of the grid.
func TestDashboardIsLaidOut(t *testing.T) {
	t.Parallel()
	taken := map[[2]int]string{}
	ids := map[int]bool{}
	for _, p := range readDashboard(t) {
		if ids[p.ID] || p.Title == "" || (p.Type != "row" && len(p.Targets) == 0) {
			t.Errorf("panel %d %q: the id is taken, or it has no title or query", p.ID, p.Title)
		}
		ids[p.ID] = true
		g := p.GridPos
		if g.W < 1 || g.H < 1 || g.X < 0 || g.X+g.W > 24 {
			t.Errorf("panel %q is off the grid: %+v", p.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("panel %q covers %q", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			if refs[target.RefID] {
				t.Errorf("panel %q has two queries %s", p.Title, target.RefID)
			}
			refs[target.RefID] = true
		}
	}
}
