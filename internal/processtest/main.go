//go:build unix

// Package processtest builds the programs that tests run as real processes, starts
// them, waits for their output, and ends each of them with its test.
package processtest

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// The packages of programs that tests start.
const (
	Worker = "github.com/capture-worker/capture-worker/cmd/capture-worker"
	// NATSServer is built in the version of go.mod, so that no installation is
	// needed.
	NATSServer = "github.com/nats-io/nats-server/v2"
)

// atOnce is the number of parallel tests without -parallel. It is high even for two
// cores, because the tests mostly wait for leases and settle times.
const atOnce = "6"

// Main is the TestMain of a package whose tests start processes. It builds the
// programs, given by the path of a package and the variable for the program's file,
// runs the tests, checks for leaked goroutines, and exits. -short skips these tests
// and the build, because they take seconds.
func Main(m *testing.M, programs map[string]*string) {
	err := flag.Set("test.parallel", atOnce)
	flag.Parse()
	code := 1
	if err == nil {
		code, err = buildAndRun(m, programs)
	}
	if err == nil && code == 0 {
		err = goleak.Find(Leftovers())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// Leftovers lists goroutines of an embedded nats-server that may end after its
// shutdown has returned.
func Leftovers() goleak.Option {
	return goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server.(*msgBlock).flushLoop")
}

func buildAndRun(m *testing.M, programs map[string]*string) (int, error) {
	if testing.Short() {
		fmt.Println("the tests with real processes are not run with -short")
		return 0, nil
	}
	for pkg, file := range programs {
		var err error
		if *file, err = Build(pkg); err != nil {
			return 1, err
		}
	}
	return m.Run(), nil
}
