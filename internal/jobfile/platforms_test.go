package jobfile

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
)

// platforms are the shops of docs/jobs.md, and what its mapping makes of the
// event in testdata.
var platforms = map[string]struct{ file, want string }{
	"Shopify":     {"shopify", `{"trade_id":"160899f3-f6d9-a8d8-ab5b-82eacdab9c5b","amount":"24.99","currency":"EUR","order_id":"#1001","description":"order #1001","authorized_at":"2026-11-02T10:00:00Z"}`},
	"Stripe":      {"stripe", `{"trade_id":"160899f3","amount":"24.99","currency":"EUR","order_id":"A-1001","description":"order A-1001","authorized_at":"2026-11-02T10:00:00Z"}`},
	"Medusa 2":    {"medusa", `{"trade_id":"160899f3","amount":"24.99","currency":"EUR","order_id":"1001","description":"order 1001"}`},
	"Magento":     {"magento", `{"trade_id":"160899f3","amount":"24.99","currency":"EUR","order_id":"000000012","description":"order 000000012"}`},
	"WooCommerce": {"woocommerce", `{"trade_id":"160899f3","amount":"24.99","currency":"EUR","order_id":"727","description":"order 727"}`},
}

// mappingOnPage is the mapping that docs/jobs.md gives for a platform, as a
// worker reads it.
func mappingOnPage(t *testing.T, platform string) capture.Mapping {
	t.Helper()
	page, err := os.ReadFile("../../docs/jobs.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n### "+platform+"\n")
	_, block, opened := strings.Cut(section, "```yaml\n")
	text, _, closed := strings.Cut(block, "```")
	if !found || !opened || !closed {
		t.Fatalf("docs/jobs.md has no mapping for %s", platform)
	}
	path := filepath.Join(t.TempDir(), "capture.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(config.Options{File: path, Env: func() []string { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	return capture.Mapping{Fields: c.Jobs.Fields, Match: c.Jobs.Match}
}

func platformEvent(t *testing.T, file string) []byte {
	t.Helper()
	event, err := os.ReadFile(filepath.Join("testdata", "events", file+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return event
}

// TestPlatforms checks that the mapping of the page makes the right job of each
// platform's event, and that the first table of the page lists each platform.
func TestPlatforms(t *testing.T) {
	page, err := os.ReadFile("../../docs/jobs.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range platforms {
		t.Run(name, func(t *testing.T) {
			dec, err := capture.NewDecoder(mappingOnPage(t, name))
			if err != nil {
				t.Fatal(err)
			}
			job, err := dec.Decode(nil, platformEvent(t, p.file))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := json.Marshal(job); err != nil || string(got) != p.want {
				t.Errorf("%v\ngot  %s\nwant %s", err, got, p.want)
			}
			anchor := "| [" + name + "](#" + strings.ReplaceAll(strings.ToLower(name), " ", "-") + ")"
			if strings.Count(string(page), "\n"+anchor) != 1 {
				t.Errorf("the table of docs/jobs.md has no row that begins with %s", anchor)
			}
		})
	}
}
