// Package tracing continues the trace of a job's publisher through the worker and
// into the ledger's events. It wraps the gateway and the ledger that the worker
// uses; the worker does not depend on it.
//
// If no collector is configured, no spans are created. The publisher's trace
// context is still stored with the ledger's events.
package tracing
