//go:build unix

// Package monitoring tests the monitoring of a worker against a real one: the
// metrics, the alerts, the dashboard, the health endpoints, and sd_notify. With
// Debian's prometheus package installed, a real Prometheus evaluates the alerts.
package monitoring

import (
	"flag"
	"testing"

	"github.com/capture-worker/capture-worker/internal/processtest"
)

var update = flag.Bool("update", false, "write the table of docs/metrics.md again")

// program is the program under test, built once.
var program string

// patience bounds waits whose duration is not tested.
const patience = processtest.Patience

func TestMain(m *testing.M) {
	processtest.Main(m, map[string]*string{processtest.Worker: &program})
}
