//go:build unix

// Package e2e holds the program to its promises with real processes: the
// worker, nats-server and the simulated gateway each run on their own, on
// loopback, and are killed, paused and restarted as they are in the world.
// What happened is audited from outside: the ledger over NATS, the gateway's
// truth over HTTP.
package e2e

import (
	"flag"
	"testing"

	"github.com/capture-worker/capture-worker/internal/processtest"
)

// The programs under test, built once.
var (
	workerProgram string
	natsProgram   string
)

// atOnce is how many tests run side by side where -parallel does not say: they
// mostly wait for leases and settle times, also on two cores.
const atOnce = "4"

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	processtest.Main(m, map[string]*string{processtest.Worker: &workerProgram, processtest.NATSServer: &natsProgram})
}
