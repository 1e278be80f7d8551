// Package sim runs the production code of worker, reconcile, ledger and capture
// in a simulated environment: simulated time, a simulated job queue with
// JetStream's semantics, a ledger behind a bad network, a gateway that fails in
// every way we know, and several workers that crash, freeze and disagree about
// the time. Invariants are checked on every step.
//
// Everything follows from one number. Each activity (a worker processing one
// delivery, a notification, an operator) is a coroutine that hands over at every
// boundary call; one scheduler alone decides what takes effect, when, what
// fails, and how far time moves. There is no clock, no goroutine that runs at
// the same time as another, no map order. The same Plan has the same history,
// byte for byte.
//
// Start reading at NewPlan (what a seed means), then Run, task.go (how a
// coroutine crosses a boundary) and check.go (what must never happen).
// docs/simulation.md says what is production code here and what is a model.
package sim
