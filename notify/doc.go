// Package notify listens for the gateway's notifications. A verified one is
// put into the ledger as evidence before it is answered with "ok", and then its
// trade is resolved through Order Query, behind the answer. A notification ends
// no trade by itself: genuine ones come early, late, twice and out of order.
//
// Everything is bounded: the body, the requests that write at the same time,
// the events kept of one trade, the trades that wait to be resolved. Who floods
// the listener gets refusals, and neither captures nor memory suffer.
package notify
