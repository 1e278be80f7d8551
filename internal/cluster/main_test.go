//go:build unix

// Package cluster holds the program to its promises on a JetStream cluster:
// three servers, streams of three replicas, several workers. Leaders step down
// and servers go and come back under load; nothing may be lost or doubled. It
// also measures how the throughput grows with the workers (-scaling).
package cluster

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

var scaling = flag.Bool("scaling", false, "measure the throughput of 1, 2 and 4 workers, which takes minutes")

// workerProgram is the program under test, built once.
var workerProgram string

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

// buildAndRun builds the worker and runs the tests. They start processes and
// take seconds, so -short leaves them out.
func buildAndRun(m *testing.M) (int, error) {
	if testing.Short() {
		fmt.Println("left out by -short: the tests with a cluster")
		return 0, nil
	}
	dir, err := os.MkdirTemp("", "capture-worker-cluster-")
	if err != nil {
		return 1, fmt.Errorf("making a folder for the worker: %w", err)
	}
	defer os.RemoveAll(dir)
	workerProgram = filepath.Join(dir, "capture-worker")
	ctx, cancel := context.WithTimeout(context.Background(), buildBound)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "build", "-o", workerProgram, "github.com/capture-worker/capture-worker/cmd/capture-worker")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("building the worker: %w\n%s", err, out)
	}
	return m.Run(), nil
}
