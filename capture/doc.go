// Package capture is the domain of capture-worker: what a job asks, what the
// gateway may answer, what is written down about a trade, and what follows
// from it. It is pure: no I/O, no clock, no context, nothing random. The next
// step follows from a State, a Job and the time alone.
//
// The words:
//
//   - a Job asks for one capture of one trade;
//   - an Answer is what one call to the gateway told us, and it may be that we
//     do not know;
//   - an Event is a fact written to the ledger: an intent, evidence or an
//     outcome;
//   - a State is the fold of a trade's events;
//   - Decide says what to do next, Judge says what an answer proves. Both are
//     tables, printed in docs/state-machine.md.
//
// The facts about the gateway come from the vendor's page of v3.Capture and
// its other published pages; what could not be checked against the live
// gateway is marked unverified and is safe whichever way it turns out.
package capture
