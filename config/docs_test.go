package config_test

import (
	"os"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/config"
)

const (
	page   = "../docs/configuration.md"
	marker = "<!-- config-table -->"
)

// TestConfigurationTable compares the table of docs/configuration.md with the struct.
func TestConfigurationTable(t *testing.T) {
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(b), marker)
	if len(parts) != 3 {
		t.Fatalf("docs/configuration.md must hold the line %s twice, before and after the table of settings; it holds it %d times", marker, len(parts)-1)
	}
	want := "\n" + config.Table()
	if parts[1] == want {
		return
	}
	if !*update {
		t.Fatal("docs/configuration.md does not show the present settings; run: go test ./config -run TestConfigurationTable -update")
	}
	text := parts[0] + marker + want + marker + parts[2]
	if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
