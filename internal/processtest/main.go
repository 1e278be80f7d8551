//go:build unix

// Package processtest builds the programs that tests need as real processes,
// starts them, waits for what they do, and sees to it that none outlives its
// test.
package processtest

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The packages of programs that tests start.
const (
	Worker = "github.com/capture-worker/capture-worker/cmd/capture-worker"
	// NATSServer is built in the version that go.mod names, so that nothing has
	// to be installed.
	NATSServer = "github.com/nats-io/nats-server/v2"
)

// buildBound is far above what a build takes on a slow machine.
const buildBound = 5 * time.Minute

// Main is what TestMain does in a package whose tests start processes. It
// builds programs, a package's path with where its program's file name goes,
// runs the tests, looks for goroutines that are left, and exits. Such tests
// take seconds: -short leaves them out, the build included.
func Main(m *testing.M, programs map[string]*string) {
	flag.Parse()
	code, err := buildAndRun(m, programs)
	if err == nil && code == 0 {
		err = goleak.Find(Leftovers())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// Leftovers are goroutines of an embedded nats-server that may end a while
// after its shutdown has returned, and are not ours to wait for.
func Leftovers() goleak.Option {
	return goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server.(*msgBlock).flushLoop")
}

func buildAndRun(m *testing.M, programs map[string]*string) (int, error) {
	if testing.Short() {
		fmt.Println("left out by -short: the tests with real processes")
		return 0, nil
	}
	dir, err := os.MkdirTemp("", "capture-worker-test-")
	if err != nil {
		return 1, fmt.Errorf("making a folder for the programs: %w", err)
	}
	defer os.RemoveAll(dir)
	for pkg, file := range programs {
		*file = filepath.Join(dir, path.Base(pkg))
		if err := build(*file, pkg); err != nil {
			return 1, err
		}
	}
	return m.Run(), nil
}

func build(into, pkg string) error {
	ctx, cancel := context.WithTimeout(context.Background(), buildBound)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", into, pkg).CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", pkg, err, out)
	}
	return nil
}
