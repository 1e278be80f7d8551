// Package tracing continues the trace of whoever published a job, through the
// work on it, into the events that others read. It stands beside the work: it
// wraps the gateway and the ledger that the work goes through, and nothing of
// the work depends on it.
//
// Where no spans are to be made, the trace of the publisher is still handed on
// to the ledger's events, which costs nothing for jobs without one.
package tracing
