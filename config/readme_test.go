package config_test

import (
	"os"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/config"
)

const (
	readme = "../README.md"
	marker = "<!-- config-table -->"
)

// TestReadmeTable holds the table of the README equal to the struct.
func TestReadmeTable(t *testing.T) {
	b, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(b), marker)
	if len(parts) != 3 {
		t.Fatalf("README.md must hold the line %s twice, before and after the table of settings; it holds it %d times", marker, len(parts)-1)
	}
	want := "\n" + config.Table()
	if parts[1] == want {
		return
	}
	if !*update {
		t.Fatal("README.md does not show the settings as they are; run: go test ./config -run TestReadmeTable -update")
	}
	text := parts[0] + marker + want + marker + parts[2]
	if err := os.WriteFile(readme, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
