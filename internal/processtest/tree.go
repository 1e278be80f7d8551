package processtest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// LookAtTree reads the source files, so that the cache of test results depends on
// them as on the programs that the tests build. A test has to call it, because
// reads of TestMain are not recorded.
func LookAtTree(t testing.TB) {
	t.Helper()
	root, err := moduleRoot()
	if err == nil {
		err = filepath.WalkDir(root, look)
	}
	if err != nil {
		t.Fatalf("looking at the sources: %v", err)
	}
}

func look(path string, d fs.DirEntry, err error) error {
	switch {
	case err != nil:
		return err
	case d.IsDir() && d.Name() == ".git":
		return fs.SkipDir
	case d.IsDir() || !strings.HasSuffix(path, ".go") && d.Name() != "go.mod":
		return nil
	}
	_, err = os.Stat(path)
	return err
}

func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		above := filepath.Dir(dir)
		if above == dir {
			return "", errors.New("there is no go.mod above the package")
		}
		dir = above
	}
}
