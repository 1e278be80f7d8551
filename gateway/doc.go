// Package gateway is a client of the YabandPay gateway. It signs a call, makes it once,
// and reports what the answer proves.
//
//   - [New] makes a [Client]. [Client.Capture] makes one capture call (v3.Capture);
//     [Client.Query] asks Order Query (v3.QueryOrder).
//   - [NewRequestID] returns a request_id for a new attempt.
//   - [ParseNotification] reads and verifies what the gateway POSTs to notify_url.
//   - [Sign] and [SignedString] are the gateway's signature, for other clients and for
//     simulators; [SignNotification] is that of notifications.
//
// # Guarantees
//
// The result of a call is a [capture.Answer], not an error: done, refused with a code,
// unknown, or not sent. In case of doubt it is unknown. [capture.Answer.Err] converts
// it to an error.
//
// Each call is one HTTP POST, limited in time ([Config.Timeout]) and size (1 MiB),
// without redirects and cookies. A request of which a byte may have been sent is never
// repeated. No text of an answer contains the secret key or a signature.
//
// # Limits
//
// The client does not retry, does not limit the rate or the number of calls, and keeps
// no record of calls. That a trade is captured only once is the work of packages
// capture, ledger and worker.
//
// # Units
//
// Amounts are decimal strings with all digits of their currency. Times in calls are
// Unix seconds.
//
// # Sources
//
// The facts about the gateway come from its published pages of v3.Capture and of Order
// Query, and from its published PHP library. What these leave open is marked
// "unverified" and handled in the cautious way.
package gateway
