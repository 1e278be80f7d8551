//go:build unix

// Package e2e holds the program to its promises with real processes: the
// worker, nats-server and the simulated gateway each run on their own, on
// loopback, and are killed, paused and restarted as they are in the world.
// What happened is audited from outside: the ledger over NATS, the gateway's
// truth over HTTP.
package e2e

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

// The programs under test, built once.
var (
	workerProgram string
	natsProgram   string
)

// buildBound is far above what a build takes on a slow machine.
const buildBound = 5 * time.Minute

// atOnce is how many tests run side by side where -parallel does not say: they
// mostly wait for leases and settle times, also on two cores.
const atOnce = "4"

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	flag.Parse()
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// buildAndRun builds the programs and runs the tests. All of these tests start
// processes and take seconds, so -short leaves them out, the build included.
func buildAndRun(m *testing.M) (int, error) {
	if testing.Short() {
		fmt.Println("left out by -short: the tests with real processes")
		return 0, nil
	}
	dir, err := os.MkdirTemp("", "capture-worker-e2e-")
	if err != nil {
		return 1, fmt.Errorf("making a folder for the programs: %w", err)
	}
	defer os.RemoveAll(dir)
	workerProgram = filepath.Join(dir, "capture-worker")
	natsProgram = filepath.Join(dir, "nats-server")
	const module = "github.com/capture-worker/capture-worker/"
	if err := build(workerProgram, module+"cmd/capture-worker"); err != nil {
		return 1, err
	}
	// The version that go.mod names, so that nothing has to be installed.
	if err := build(natsProgram, "github.com/nats-io/nats-server/v2"); err != nil {
		return 1, err
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
