//go:build unix

// Package e2e holds the program to its promises with real processes: the
// worker, nats-server and the simulated gateway each run on their own, on
// loopback, and are killed, paused and restarted as they are in the world.
// What happened is audited from outside: the ledger over NATS, the gateway's
// truth over HTTP.
package e2e

import (
	"testing"

	"github.com/capture-worker/capture-worker/internal/processtest"
)

// The programs under test, built once.
var (
	workerProgram string
	natsProgram   string
)

func TestMain(m *testing.M) {
	processtest.Main(m, map[string]*string{processtest.Worker: &workerProgram, processtest.NATSServer: &natsProgram})
}
