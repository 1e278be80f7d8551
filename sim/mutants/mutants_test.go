package main

import (
	"slices"
	"testing"
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
