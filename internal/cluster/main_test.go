//go:build unix

// Package cluster holds the program to its promises on a JetStream cluster:
// three servers, streams of three replicas, several workers. Leaders step down
// and servers go and come back under load; nothing may be lost or doubled. It
// also measures how the throughput grows with the workers (-scaling).
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
