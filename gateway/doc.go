// Package gateway is the client of the YabandPay gateway: it signs a call,
// makes it once, and says what the answer proves.
//
// A [Client] knows two methods, v3.Capture and v3.QueryOrder. Each is one HTTP
// POST, bounded in time and size, never redirected, and never repeated once a
// byte of it was written. What became of it is always a [capture.Answer], never
// an error: done, refused with a code, unknown, or not sent. When in doubt it is
// unknown.
//
// [Sign] and [SignedString] are the gateway's signature, [ParseNotification]
// reads and verifies what the gateway POSTs to a notify_url.
//
// The facts come from the gateway's page of v3.Capture, its page of Order
// Query and its published PHP library. What these leave open is marked
// "unverified" and is read in the cautious way.
package gateway
