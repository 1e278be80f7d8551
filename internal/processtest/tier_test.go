package processtest_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// make verify finds the long tests by their first line: one that says so later
// would never run.
func TestLongTestsBeginWithIt(t *testing.T) {
	t.Parallel()
	long := "processtest." + "Long("
	first := regexp.MustCompile(`^func Test\w+\(t \*testing\.T\) \{$`)
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		lines := strings.Split(string(text), "\n")
		for n, line := range lines {
			if strings.Contains(line, long) && (!first.MatchString(lines[n-1]) || !strings.HasPrefix(line, "\t"+long+"t)")) {
				t.Errorf("%s:%d: it is not the first line of a test", path, n+1)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
