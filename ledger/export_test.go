package ledger

import "time"

// OneByOne lets no append go in a batch, and returns the ledger.
func OneByOne(l *JetStream) *JetStream {
	l.commits.mu.Lock()
	defer l.commits.mu.Unlock()
	l.commits.way.next = time.Now().Add(time.Hour)
	return l
}

// InBatches lets every append go in a batch, whatever it costs, and returns the
// ledger.
func InBatches(l *JetStream) *JetStream {
	l.commits.mu.Lock()
	defer l.commits.mu.Unlock()
	l.commits.way.batching, l.commits.way.always = true, true
	return l
}

// Batching reports whether appends go in batches.
func Batching(l *JetStream) bool {
	l.commits.mu.Lock()
	defer l.commits.mu.Unlock()
	return l.commits.way.batching
}

// Queued is how many appends wait for their batch.
func Queued(l *JetStream) int {
	l.commits.mu.Lock()
	defer l.commits.mu.Unlock()
	return len(l.commits.queue)
}

// MaxQueue bounds them.
const MaxQueue = maxQueue

// KnowsBatches reports whether a server of that version does.
var KnowsBatches = knowsBatches
