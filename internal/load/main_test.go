package main

import (
	"bytes"
	"os"
	"testing"
	"time"
)

func TestItEndsByItselfAndLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	began := time.Now()
	var errs bytes.Buffer
	if code := run(t.Context(), []string{"-cpus", "1", "-sync", dir, "-for", "50ms"}, &errs); code != 0 {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("it ended after %s", took)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
}

func TestWrongOptions(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-cpus", "-1"}, {"-cpus", "65"}, {"-for", "0s"}, {"-for", "7h"}, {"more"}} {
		if code := run(t.Context(), args, &bytes.Buffer{}); code != 2 {
			t.Errorf("%v: exit code %d, want 2", args, code)
		}
	}
	if code := run(t.Context(), []string{"-cpus", "0", "-sync", "/no/such/folder", "-for", "10ms"}, &bytes.Buffer{}); code != 1 {
		t.Errorf("a folder that is not there: exit code %d, want 1", code)
	}
}
