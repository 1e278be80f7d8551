// Package reconcile learns the truth about trades and writes it down: it asks
// Order Query, judges what it says by the tables of package capture, and
// appends the evidence or the outcome to the ledger. The worker uses it for
// every answer it gets, and so does everyone else who asks, so that there is
// one way in which a trade's state changes.
package reconcile
