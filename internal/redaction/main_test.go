//go:build unix

// Package redaction runs the program in a hostile world and looks for its
// secrets in all that it puts out: what it prints and logs, the ledger, the
// dead letters, the spans, the metrics and the health pages.
package redaction

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// program is the program under test, built once.
var program string

const buildBound = 5 * time.Minute

func TestMain(m *testing.M) {
	code, err := buildAndRun(m)
	if err == nil && code == 0 {
		err = goleak.Find()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (int, error) {
	flag.Parse()
	if testing.Short() {
		fmt.Println("left out by -short: the tests with real processes")
		return 0, nil
	}
	dir, err := os.MkdirTemp("", "capture-worker-redaction-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "capture-worker")
	ctx, cancel := context.WithTimeout(context.Background(), buildBound)
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "../../cmd/capture-worker").CombinedOutput()
	if err != nil {
		return 1, fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return m.Run(), nil
}
