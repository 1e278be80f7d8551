package ledger

import "github.com/capture-worker/capture-worker/ledger/internal/appender"

// SendSingly makes the ledger send every append by itself, and returns it.
func SendSingly(l *JetStream) *JetStream {
	l.appender.SetMode(appender.Off)
	return l
}

// SendBatches makes the ledger send every append in a batch at any cost, and
// returns it.
func SendBatches(l *JetStream) *JetStream {
	l.appender.SetMode(appender.Always)
	return l
}

// Batching reports whether appends are sent in batches.
func Batching(l *JetStream) bool {
	batching, _ := l.appender.State()
	return batching
}

// Queued returns how many appends wait for a batch.
func Queued(l *JetStream) int {
	_, queued := l.appender.State()
	return queued
}

// MaxQueue bounds them.
const MaxQueue = appender.MaxQueue

// SupportsBatches reports whether a server of the version has atomic batches.
var SupportsBatches = supportsBatches
