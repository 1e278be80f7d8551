//go:build unix

// Package processtest builds the programs that tests need as real processes,
// starts them, waits for what they do, and sees to it that none outlives its
// test.
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
	// NATSServer is built in the version that go.mod names, so that nothing has
	// to be installed.
	NATSServer = "github.com/nats-io/nats-server/v2"
)

// atOnce is how many tests run side by side where -parallel does not say: they
// mostly wait, for leases and settle times, also on two cores.
const atOnce = "6"

// Main is what TestMain does in a package whose tests start processes. It
// builds programs, a package's path with where its program's file name goes,
// runs the tests, looks for goroutines that are left, and exits. Such tests
// take seconds: -short leaves them out, the build included.
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

// Leftovers are goroutines of an embedded nats-server that may end a while
// after its shutdown has returned, and are not ours to wait for.
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
