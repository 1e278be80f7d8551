// Package notify receives the notifications that the gateway POSTs to notify_url.
// It records a verified notification in the ledger before it answers "ok", and then
// asks Order Query about the trade. A notification alone ends no trade: genuine ones
// arrive early, late, twice and out of order.
//
//   - [New] makes the HTTP [Handler]; [Serve] runs it on a listener.
//   - [Handler.Follow] keeps asking about failed trades that a notification reported
//     as paid, also after a restart.
//   - [Stats] counts the results.
//
// # Guarantees
//
// "ok" is answered only if the ledger has the notification, or the notification adds
// nothing to it. Anything else makes the gateway send it again. Signatures are
// verified before anything is written, with every key that Config.Secrets returns.
// No outcome is written without an answer of Order Query, and no capture call is
// made.
//
// Size of the body, concurrent requests, recorded events per trade and waiting
// trades are limited: a flood of requests is refused, and slows down neither captures
// nor the process.
//
// The form of a notification and its retries were seen from the gateway or taken from
// its PHP library; see [gateway.ParseNotification].
package notify
