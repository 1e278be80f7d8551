// Package capture is the domain of capture-worker: jobs, the gateway's answers, the
// events stored about a trade, and the decisions that follow from them. It is pure:
// no I/O, no clock, no context, no randomness. The next step depends on a State, a
// Job and the time only. The terms:
//
//   - a Job asks for one capture of one trade;
//   - an Answer is the result of one call to the gateway, which may be
//     unknown;
//   - an Event is a fact written to the ledger: an intent, evidence or an
//     outcome;
//   - a State is the fold of a trade's events;
//   - Decide returns the next step, Judge what an answer proves. Both are
//     tables, printed in docs/state-machine.md.
//
// The facts about the gateway come from the vendor's published pages. Facts that
// could not be checked against the live gateway are marked as unverified; the code
// is correct whether they hold or not.
package capture
