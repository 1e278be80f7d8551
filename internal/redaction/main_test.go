//go:build unix

// Package redaction runs the program in a hostile world and looks for its
// secrets in all that it puts out: what it prints and logs, the ledger, the
// dead letters, the spans, the metrics and the health pages.
package redaction

import (
	"testing"

	"github.com/capture-worker/capture-worker/internal/processtest"
)

// program is the program under test, built once.
var program string

func TestMain(m *testing.M) {
	processtest.Main(m, map[string]*string{processtest.Worker: &program})
}
