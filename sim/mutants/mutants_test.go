package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/internal/processtest"
)

// The list follows the code: each text is still there, once.
func TestListFitsTheCode(t *testing.T) {
	t.Parallel()
	root, err := repository(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(mutations) < 12 {
		t.Errorf("only %d bugs are listed", len(mutations))
	}
	for _, m := range slices.Concat(mutations, rare) {
		if _, err := m.write(root, t.TempDir()); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}

// A test of the tests: each bug is found, but for the rare ones, which make
// mutants has the time for.
func TestEachBugIsFound(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the simulation once for each bug")
	}
	processtest.LookAtTree(t)
	var out, errs strings.Builder
	if code := run(t.Context(), []string{"-quick"}, &out, &errs); code != 0 {
		t.Errorf("exit code %d\n%s", code, out.String())
	}
	t.Log("\n" + out.String())
}

func TestAnUnknownTextIsLoud(t *testing.T) {
	t.Parallel()
	root, err := repository(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := mutation{name: "none", file: "capture/judge.go", old: "no such text"}
	if _, err := m.write(root, t.TempDir()); err == nil {
		t.Error("a text that is not in the file is taken")
	}
}
