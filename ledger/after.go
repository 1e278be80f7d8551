package ledger

import "github.com/nats-io/nats.go"

// After returns the sequence of the trade's event before, as the writer of a
// stored event saw it: 0 for a trade's first event, and where the headers are
// not the ledger's.
func After(stored nats.Header) uint64 {
	seq, _ := predecessor(stored)
	return seq
}
