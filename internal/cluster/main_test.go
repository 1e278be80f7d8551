//go:build unix

// Package cluster tests the program on a JetStream cluster: three servers, streams
// with three replicas, several workers. Leaders step down and servers restart under
// load; no capture may be lost or doubled. It also measures the throughput by
// number of workers (-scaling).
package cluster

import (
	"flag"
	"testing"

	"github.com/capture-worker/capture-worker/internal/processtest"
)

var scaling = flag.Bool("scaling", false, "measure the throughput of 1, 2 and 4 workers, which takes minutes")

// workerProgram is the program under test, built once.
var workerProgram string

func TestMain(m *testing.M) {
	processtest.Main(m, map[string]*string{processtest.Worker: &workerProgram})
}
