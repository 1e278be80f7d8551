//go:build unix

// Package watch holds what watches a worker to what a real worker shows: the
// metrics, the alerts, the dashboard, health, and what systemd is told. With
// Debian's prometheus package installed, a real Prometheus looks on.
package watch

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

var update = flag.Bool("update", false, "write the table of docs/metrics.md anew")

// program is the one under test, built once.
var program string

const buildBound = 5 * time.Minute

func TestMain(m *testing.M) {
	flag.Parse()
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

// buildAndRun builds the program and runs the tests. They start processes and
// take seconds, so -short leaves them out.
func buildAndRun(m *testing.M) (int, error) {
	if testing.Short() {
		fmt.Println("left out by -short: the tests of what watches a worker")
		return 0, nil
	}
	dir, err := os.MkdirTemp("", "capture-worker-watch-")
	if err != nil {
		return 1, fmt.Errorf("making a folder for the program: %w", err)
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "capture-worker")
	ctx, cancel := context.WithTimeout(context.Background(), buildBound)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/capture-worker/capture-worker/cmd/capture-worker")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return m.Run(), nil
}
