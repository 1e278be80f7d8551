package notify

import "sync/atomic"

// Stats counts what became of notifications since the start. Each request is
// counted once in one of the first two groups.
type Stats struct {
	// Answered "ok".
	Kept       atomic.Int64 // new evidence, in the ledger now
	Duplicates atomic.Int64 // said what the trade's last notification said
	Redundant  atomic.Int64 // said what the ledger holds as captured
	Capped     atomic.Int64 // the trade has its full number of notified events
	NotOurs    atomic.Int64 // genuine, about a trade that the ledger does not know

	// Refused.
	Denied    atomic.Int64 // source network not allowed
	Forged    atomic.Int64 // bad signature
	Malformed atomic.Int64 // no notification
	TooLarge  atomic.Int64 // above the body limit
	Broken    atomic.Int64 // the body did not come to its end in time
	Busy      atomic.Int64 // too many at once
	Trouble   atomic.Int64 // the ledger could not be used

	// Behind the answers.
	Resolved atomic.Int64 // trades asked about
	Changed  atomic.Int64 // of them, those that got an outcome by it
	Deferred atomic.Int64 // put off: a call is under way, or the gateway is shut
	Dropped  atomic.Int64 // left to the trade's own schedule
}
