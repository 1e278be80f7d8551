package examples

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	linked = regexp.MustCompile(`\]\(([a-z][^)#:]*)`)
	source = regexp.MustCompile(`\.(go|mjs|py)$`)
)

// Every link of the page exists, and every example is linked.
func TestPageLinksToEveryExample(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/integration.md")
	if err != nil {
		t.Fatal(err)
	}
	links := map[string]bool{}
	for _, m := range linked.FindAllStringSubmatch(string(page), -1) {
		links[m[1]] = true
		if _, err := os.Stat(filepath.Join("../../docs", m[1])); err != nil {
			t.Errorf("the page links to %s: %v", m[1], err)
		}
	}
	found := 0
	err = filepath.WalkDir("../../docs/examples", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "node_modules" {
			return fs.SkipDir
		}
		if err == nil && source.MatchString(path) {
			found++
			if !links[strings.TrimPrefix(filepath.ToSlash(path), "../../docs/")] {
				t.Errorf("the page has no link to %s", path)
			}
		}
		return err
	})
	if err != nil || found != 7 {
		t.Errorf("%d examples, want 7: %v", found, err)
	}
}
