//go:build unix

// Package redaction tests that no output of the program contains a secret: its standard
// output and log, the ledger, dead letters, spans, metrics and health pages. Gateway,
// broker and senders of notifications repeat the secrets wherever they can.
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
