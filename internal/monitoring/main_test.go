//go:build unix

// Package watch holds what watches a worker to what a real worker shows: the
// metrics, the alerts, the dashboard, health, and what systemd is told. With
// Debian's prometheus package installed, a real Prometheus looks on.
package monitoring

import (
	"flag"
	"testing"

	"github.com/capture-worker/capture-worker/internal/processtest"
)

var update = flag.Bool("update", false, "write the table of docs/metrics.md anew")

// program is the one under test, built once.
var program string

// patience bounds waits whose length is not what a test is about.
const patience = processtest.Patience

func TestMain(m *testing.M) {
	processtest.Main(m, map[string]*string{processtest.Worker: &program})
}
