// Package sim runs the production code of worker, reconcile, ledger and capture in
// a simulated environment: simulated time, a simulated job queue with JetStream's
// semantics, a ledger behind a bad network, a gateway that fails in every way we
// know, and several workers that crash, freeze and disagree about the time.
// Invariants are checked on every step.
//
// A seed determines everything. Each activity (a worker processing one delivery, a
// notification, an operator) is a coroutine that stops at every boundary call; one
// scheduler decides which call takes effect, when it does, which one fails, and how
// the time advances. The code uses no clock, no two goroutines run at the same
// time, and no result depends on map order. The same Plan has the same history,
// byte for byte.
//
// Start reading at NewPlan (from a seed to a plan), then Run, task.go (how a
// coroutine crosses a boundary) and check.go (the invariants). docs/simulation.md
// lists which parts are production code and which are models.
package sim
