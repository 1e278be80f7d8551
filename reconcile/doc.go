// Package reconcile finds out what happened to trades and records it: it asks
// Order Query, judges the answer with [capture.Judge], and appends the evidence
// or the outcome to the ledger. The worker, the notification listener and the
// operator's commands all change a trade through this package.
//
//   - [Recorder] reads and writes the ledger of one trade at a time.
//   - [Resolver] asks Order Query about one trade and records the result.
//   - [Batch] compares many trades with the gateway and, optionally, with an
//     expected amount; [Compare] is the comparison alone.
//   - [Releaser] sends one parked or failed trade back to the workers, [Rollout]
//     many of them.
//
// # Guarantees
//
// An outcome is written only if the rules in docs/rules.md allow it. Every
// append states the last sequence that its writer has read; on a conflict the
// trade is read and judged again, so two writers cannot both win. A captured
// trade is never changed. Nothing in this package makes a capture call.
//
// # Zero values
//
// A zero field takes its default, named in its comment. A field without a
// default is reported by an error that wraps [ErrNotSet] and names the field;
// nothing is asked or written then.
//
// What this package knows about the gateway comes from packages capture and
// gateway; statements marked "unverified" there were not checked against the
// live gateway.
package reconcile
