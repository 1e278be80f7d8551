//go:build unix

package monitoring

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/internal/processtest"
)

// prometheus is a real Prometheus that scrapes workers and evaluates the alerts,
// with shorter durations.
type prometheus struct {
	t     *testing.T
	base  string
	began time.Time
}

// window replaces every range in the rules: a few scrapes. A day is longer: one
// rule compares with it.
const (
	window = "6s"
	day    = "5m"
)

var (
	forLine   = regexp.MustCompile(`(?m)^( +for:) \w+$`)
	rangePart = regexp.MustCompile(`\[\w+\]`)
)

// startPrometheus scrapes each world with its name as the job label, so that rules
// which distinguish jobs distinguish the worlds.
func startPrometheus(t *testing.T, worlds []*world) *prometheus {
	t.Helper()
	file := needs(t, "prometheus")
	dir := t.TempDir()
	rules, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	scaled := rangePart.ReplaceAllStringFunc(string(rules), func(part string) string {
		if part == "[1d]" {
			return "[" + day + "]"
		}
		return "[" + window + "]"
	})
	scaled = forLine.ReplaceAllString(scaled, "$1 1s")
	config := "global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 250ms}\nrule_files: [rules.yaml]\nscrape_configs:\n"
	for _, w := range worlds {
		config += fmt.Sprintf("- {job_name: %s, static_configs: [{targets: [%q]}]}\n", w.name, w.admin)
	}
	for name, text := range map[string]string{"rules.yaml": scaled, "prometheus.yml": config} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	address := fmt.Sprintf("127.0.0.1:%d", processtest.FreePort(t))
	p := &prometheus{t: t, base: "http://" + address, began: time.Now()}
	processtest.Start(t, "prometheus", nil, file, "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=warn")
	processtest.WaitFor(t, patience, "prometheus to be ready", func() bool {
		code, _ := request(t, http.MethodGet, p.base+"/-/ready", "")
		return code == http.StatusOK
	})
	return p
}

// within returns a copy for a subtest.
func (p prometheus) within(t *testing.T) *prometheus {
	p.t = t
	return &p
}

func (p *prometheus) get(path string, into any) {
	p.t.Helper()
	code, text := request(p.t, http.MethodGet, p.base+path, "")
	if code != http.StatusOK {
		p.t.Fatalf("%s: %d %s", path, code, text)
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		p.t.Fatalf("%s: %v", path, err)
	}
}

// firing returns the alerts that fire, each as name and job.
func (p *prometheus) firing() map[string]bool {
	p.t.Helper()
	var answer struct {
		Data struct {
			Alerts []struct {
				State  string
				Labels map[string]string
			}
		}
	}
	p.get("/api/v1/alerts", &answer)
	list := map[string]bool{}
	for _, a := range answer.Data.Alerts {
		if a.State == "firing" {
			list[a.Labels["alertname"]+" "+a.Labels["job"]] = true
		}
	}
	return list
}

func (p *prometheus) fires(alert, job string) {
	p.t.Helper()
	processtest.WaitFor(p.t, patience, alert+" to fire for "+job, func() bool { return p.firing()[alert+" "+job] })
}

func (p *prometheus) stops(alert, job string) {
	p.t.Helper()
	processtest.WaitFor(p.t, patience, alert+" to stop for "+job, func() bool { return !p.firing()[alert+" "+job] })
}

// everShown reports whether a query had a result at any time of the test.
func (p *prometheus) everShown(expr string) bool {
	p.t.Helper()
	var answer struct {
		Status string
		Data   struct{ Result []json.RawMessage }
	}
	ask := url.Values{"query": {expr}, "step": {"1s"},
		"start": {p.began.UTC().Format(time.RFC3339)}, "end": {time.Now().UTC().Format(time.RFC3339)}}
	p.get("/api/v1/query_range?"+ask.Encode(), &answer)
	return answer.Status == "success" && len(answer.Data.Result) > 0
}

// quiet waits until no alert fires: on a loaded machine one may fire briefly.
func (p *prometheus) quiet() {
	p.t.Helper()
	var names []string
	p.t.Cleanup(func() {
		if p.t.Failed() {
			p.t.Logf("fired when last looked at: %s", strings.Join(names, ", "))
		}
	})
	processtest.WaitFor(p.t, patience, "no alert to fire without a fault", func() bool {
		names = slices.Sorted(maps.Keys(p.firing()))
		return len(names) == 0
	})
}
