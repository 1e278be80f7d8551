package audit_test

import (
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// failed is a trade that asked for too much; its outcome is event e3.
func failed() *story {
	return refusedBy(capture.CodeAmountExceeded).fails(2, capture.ReasonAmountExceeded, less)
}

// parked is a trade in a state that we do not know; its outcome is event e3.
func parked() *story {
	return begun().answer(1, 1, timeout).parks(2, capture.ReasonStateUnclear, sees("odd", "30.00"))
}

func TestSecondJobs(t *testing.T) {
	over := capture.ReasonWindowExceeded
	// window failed at second 51 because its day was over at noon.
	window := func() *story {
		s := new(story).query(0, open).change(func(e *capture.Event) { e.Job = before(0) })
		return s.fails(51, over, open)
	}
	// twice failed for 30.00 and for 25.00.
	twice := func() *story {
		s := failed().query(60, sees(capture.OrderAuthorized, "20.00")).intent(61, 2, 2, asks("25.00"))
		return s.answer(62, 2, no(capture.CodeAmountExceeded)).fails(70, capture.ReasonAmountExceeded, less,
			func(e *capture.Event) { e.Amount = "25.00" })
	}
	forever := before(0)
	forever.CaptureBefore = time.Time{}
	runTwins(t, []twin{
		{"a call for a captured trade", "8",
			begun().end(1, capture.Captured, "", capture.ViaCapture, paid).query(2, open).intent(3, 2, 2, asks("20.00")),
			begun().end(1, capture.Captured, "", capture.ViaCapture, paid)},
		{"a call for a parked trade", "8",
			parked().query(50, open).query(55, open).intent(56, 1, 2, asks("30.00")),
			parked().operator(49, capture.Released).query(50, open).query(55, open).intent(56, 1, 2, asks("30.00"))},
		{"the same request after failed", "8",
			failed().query(50, open).intent(51, 2, 2, asks("30.00")),
			failed().query(50, open).intent(51, 2, 2, asks("25.00"))},
		{"a request that failed before the last one", "8",
			twice().query(80, open).intent(81, 3, 3, asks("30.00")),
			twice().query(80, open).intent(81, 3, 3, asks("20.00"))},
		{"no more time after the window was over", "8",
			window().query(60, open).intent(61, 1, 1, before(0)),
			window().query(60, open).intent(61, 1, 1, before(7*day))},
		{"a deadline after none", "8",
			window().query(60, open).intent(61, 1, 1, before(-day)),
			window().query(60, open).intent(61, 1, 1, forever)},
		{"another request unasked", "2",
			failed().intent(51, 2, 2, asks("25.00")),
			failed().query(50, open).intent(51, 2, 2, asks("25.00"))},
		{"another request with the old request_id", "4",
			failed().query(50, open).intent(51, 1, 2, asks("25.00")),
			failed().query(50, open).intent(51, 2, 2, asks("25.00"))},
		{"a repeat for another amount", "8",
			lost().intent(52, 1, 2, asks("20.00")), lost().intent(52, 1, 2, asks("30.00"))},
	})
}

func TestOperatorsActs(t *testing.T) {
	unsigned := capture.Event{Type: capture.Released, By: "ann"}
	retry := unsigned
	retry.Type = capture.Retried
	runTwins(t, []twin{
		{"released without a reason", "8", parked().add(3, unsigned), parked().operator(3, capture.Released)},
		{"retried without a reason", "8", failed().add(3, retry), failed().operator(3, capture.Retried)},
		{"dismissed without a reason", "8",
			parked().add(3, capture.Event{Type: capture.Dismissed, Note: "refunded by hand"}), parked().operator(3, capture.Dismissed)},
		{"released, not parked", "8", failed().operator(3, capture.Released), parked().operator(3, capture.Released)},
		{"retried, not failed", "8", parked().operator(3, capture.Retried), failed().operator(3, capture.Retried)},
		{"dismissed, not parked", "8", failed().operator(3, capture.Dismissed), parked().operator(3, capture.Dismissed)},
		{"retried, and called unasked", "2",
			failed().operator(3, capture.Retried).intent(4, 1, 2, asks("30.00")),
			failed().operator(3, capture.Retried).query(4, open).intent(5, 1, 2, asks("30.00"))},
		{"retried on a query from before", "2",
			failed().query(50, open).operator(51, capture.Retried).intent(52, 1, 2, asks("30.00")),
			failed().query(50, open).operator(51, capture.Retried).query(52, open).intent(53, 2, 2, asks("30.00"))},
		{"retried with more time", "10",
			new(story).fails(0, capture.ReasonWindowExceeded, open, brings(before(0))).operator(1, capture.Retried).
				query(2, open).intent(3, 1, 1, before(0)),
			new(story).fails(0, capture.ReasonWindowExceeded, open, brings(before(0))).operator(1, capture.Retried).
				change(func(e *capture.Event) { e.Job = before(day) }).query(2, open).intent(3, 1, 1, before(day))},
		{"a release forgets no failed request", "8",
			failed().parks(50, capture.ReasonStateUnclear, sees("odd", "30.00"), corrects("e3")).operator(51, capture.Released).
				fails(60, "expired", sees(capture.OrderExpired, "25.00"), brings(asks("25.00"))).query(70, open).intent(71, 2, 2, asks("30.00")),
			failed().parks(50, capture.ReasonStateUnclear, sees("odd", "30.00"), corrects("e3")).operator(51, capture.Released).
				fails(60, "expired", sees(capture.OrderExpired, "25.00"), brings(asks("25.00"))).query(70, open).intent(71, 2, 2, asks("20.00"))},
		{"retried after captured", "11",
			begun().end(1, capture.Captured, "", capture.ViaCapture, paid).operator(2, capture.Retried),
			begun().end(1, capture.Captured, "", capture.ViaCapture, paid)},
		{"what failed after a retry is remembered again", "8",
			failed().operator(3, capture.Retried).fails(9, "expired", sees(capture.OrderExpired, "30.00")).query(60, open).intent(61, 2, 2, asks("30.00")),
			failed().operator(3, capture.Retried).fails(9, "expired", sees(capture.OrderExpired, "30.00")).query(60, open).intent(61, 2, 2, asks("20.00"))},
	})
}

func TestCorrections(t *testing.T) {
	runTwins(t, []twin{
		{"captured taken back", "11",
			begun().end(1, capture.Captured, "", capture.ViaCapture, paid).fails(2, "expired", sees(capture.OrderExpired, "30.00"), corrects("e2")),
			begun().end(1, capture.Captured, "", capture.ViaCapture, paid)},
		{"a correction without a name", "11",
			failed().end(3, capture.Captured, "", capture.ViaQuery, paid),
			failed().end(3, capture.Captured, "", capture.ViaQuery, paid, corrects("e3"))},
		{"a correction of the wrong event", "11",
			failed().end(3, capture.Captured, "", capture.ViaQuery, paid, corrects("e1")),
			failed().end(3, capture.Captured, "", capture.ViaQuery, paid, corrects("e3"))},
		{"a correction of nothing", "11",
			begun().end(2, capture.Captured, "", capture.ViaQuery, paid, corrects("e1")),
			begun().end(2, capture.Captured, "", capture.ViaQuery, paid)},
		{"parked by failed, without a name", "11",
			parked().fails(60, "expired", sees(capture.OrderExpired, "30.00")),
			parked().fails(60, "expired", sees(capture.OrderExpired, "30.00"), corrects("e3"))},
	})
}

// TestNotifiedPaid is rule 11: signed evidence counts.
func TestNotifiedPaid(t *testing.T) {
	told := capture.ReasonNotifiedPaid
	told1 := func() *story { return begun().answer(1, 1, timeout).says(2, capture.OrderPaid) }
	expired := sees(capture.OrderExpired, "30.00")
	runTwins(t, []twin{
		{"a call after it", "11",
			told1().query(46, open).query(51, open).intent(52, 1, 2, asks("30.00")),
			begun().answer(1, 1, timeout).says(2, capture.OrderPending).query(46, open).query(51, open).intent(52, 1, 2, asks("30.00"))},
		{"a refund is no payment", "11",
			told1().query(46, open).query(51, open).intent(52, 1, 2, asks("30.00")),
			told1().change(func(e *capture.Event) { e.Notification.Type = "refund" }).query(46, open).query(51, open).intent(52, 1, 2, asks("30.00"))},
		{"a first call after it", "11",
			new(story).says(0, capture.OrderPaid).query(1, open).intent(2, 1, 1, asks("30.00")),
			new(story).says(0, capture.OrderAuthorized).query(1, open).intent(2, 1, 1, asks("30.00"))},
		{"failed after it, though the order is dead", "11",
			told1().fails(50, "expired", expired),
			told1().query(50, expired).parks(hour+2, told, expired)},
		{"parked for it too early", "11",
			told1().parks(hour, told, open), told1().parks(hour+2, told, open)},
		{"parked for one that never came", "11",
			begun().answer(1, 1, timeout).parks(2*hour, told, open), told1().parks(2*hour, told, open)},
		{"a failed trade is asked about as well", "11",
			failed().says(60, capture.OrderPaid).query(61, open).intent(62, 2, 2, asks("25.00")),
			failed().says(60, capture.OrderPaid).parks(hour+60, told, open, corrects("e3"))},
		{"a release clears it", "11",
			told1().parks(hour+2, told, open).query(hour+9, open).query(hour+20, open).intent(hour+21, 1, 2, asks("30.00")),
			told1().parks(hour+2, told, open).operator(hour+3, capture.Released).
				query(hour+9, open).query(hour+20, open).intent(hour+21, 1, 2, asks("30.00"))},
	})
}

// TestWithdrawn is rule 13.
func TestWithdrawn(t *testing.T) {
	why := capture.ReasonWithdrawn
	end := capture.Event{Type: capture.Failed, Reason: why, Job: asks("30.00"), Amount: "30.00", Currency: "EUR"}
	gone := capture.Event{Type: capture.Withdrawn, By: "shop", Note: "returned"}
	runTwins(t, []twin{
		{"a first call after it", "13",
			new(story).add(0, gone).query(1, open).intent(2, 1, 1, asks("30.00")),
			new(story).add(0, gone).add(2, end)},
		{"a further call after it", "13",
			begun().answer(1, 1, timeout).add(2, gone).query(46, open).query(51, open).intent(52, 1, 2, asks("30.00")),
			begun().answer(1, 1, timeout).add(2, gone).query(46, open).fails(hour+1, why, open)},
		{"another request after it", "13",
			new(story).add(0, gone).add(2, end).query(3, open).intent(4, 1, 1, asks("25.00")),
			new(story).add(0, gone).add(2, end).operator(3, capture.Retried).query(4, open).intent(5, 1, 1, asks("30.00"))},
		{"retried before its job came", "8",
			new(story).operator(3, capture.Retried), new(story).add(0, gone).operator(3, capture.Retried)},
		{"a release does not reopen it", "13",
			parked().add(3, gone).operator(4, capture.Released).query(50, open).query(55, open).intent(56, 1, 2, asks("30.00")),
			parked().add(3, gone).operator(4, capture.Released).query(50, open).fails(hour+1, why, open)},
		{"withdrawn by no one", "13",
			new(story).add(0, capture.Event{Type: capture.Withdrawn, Note: "returned"}),
			new(story).add(0, gone)},
		{"failed as withdrawn, without a withdrawal", "13",
			new(story).add(0, end), new(story).add(0, gone).add(1, end)},
		{"failed while a call may land", "13",
			begun().answer(1, 1, timeout).add(2, gone).query(46, open).fails(hour, why, open),
			begun().answer(1, 1, timeout).add(2, gone).query(46, open).fails(hour+1, why, open)},
		{"failed on a query that was asked before the call ended", "13",
			begun().answer(5, 1, no(capture.CodeFieldMissing)).add(6, gone).fails(7, why, *latency(open, 3*time.Second)),
			begun().answer(5, 1, no(capture.CodeFieldMissing)).add(6, gone).fails(7, why, *latency(open, time.Second))},
		{"failed without a query since the call", "1",
			begun().answer(1, 1, no(capture.CodeFieldMissing)).add(2, gone).add(3, end),
			begun().answer(1, 1, no(capture.CodeFieldMissing)).add(2, gone).fails(3, why, open)},
		{"paid stays captured", "5",
			begun().answer(1, 1, timeout).add(2, gone).fails(51, why, paid),
			begun().answer(1, 1, timeout).add(2, gone).end(51, capture.Captured, "", capture.ViaQuery, paid)},
	})
}
