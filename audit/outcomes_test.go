package audit_test

import (
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

const hour = 3600 // seconds, as a story counts

// refusedBy is a first call that the gateway refused with the code.
func refusedBy(code string) *story { return begun().answer(1, 1, no(code)) }

// parcel is a first call for a capture with a name.
func parcel(captureID string) *story {
	job := asks("30.00")
	job.CaptureID = captureID
	return new(story).intent(0, 1, 1, job)
}

func named(captureID string) func(*capture.Event) {
	return func(e *capture.Event) { e.CaptureID = captureID }
}

// fails ends a story as failed by an Order Query.
func (s *story) fails(sec float64, reason string, a capture.Answer, change ...func(*capture.Event)) *story {
	return s.end(sec, capture.Failed, reason, capture.ViaQuery, a, change...)
}

// parks ends a story as parked by an Order Query.
func (s *story) parks(sec float64, reason string, a capture.Answer, change ...func(*capture.Event)) *story {
	return s.end(sec, capture.Parked, reason, capture.ViaQuery, a, change...)
}

// TestFailedIsExplained is rule 5 for each refusal.
func TestFailedIsExplained(t *testing.T) {
	exceeded, incorrect, currency := capture.ReasonAmountExceeded, capture.ReasonTradeIncorrect, capture.ReasonCurrencyMismatch
	dollars := sees(capture.OrderAuthorized, "30.00")
	dollars.Order.Amount = usd("30.00")
	lostOnce := lost().intent(52, 1, 2, asks("30.00")).events
	again := func() *story { return &story{events: append([]capture.Event(nil), lostOnce...)} }
	runTwins(t, []twin{
		{"failed on the refusal alone", "5",
			begun().end(1, capture.Failed, exceeded, capture.ViaCapture, no(capture.CodeAmountExceeded)),
			refusedBy(capture.CodeAmountExceeded).fails(2, exceeded, less)},
		{"-4084 that was excused, not explained", "5",
			refusedBy(capture.CodeAmountExceeded).excused().fails(2, exceeded, open),
			refusedBy(capture.CodeAmountExceeded).excused().fails(2, exceeded, less)},
		{"-4084, and the sum is there", "5",
			refusedBy(capture.CodeAmountExceeded).fails(2, exceeded, open),
			refusedBy(capture.CodeAmountExceeded).fails(2, exceeded, less)},
		{"-4084, and no sum is shown", "5",
			refusedBy(capture.CodeAmountExceeded).fails(2, exceeded, sumless),
			refusedBy(capture.CodeAmountExceeded).query(2, sumless).fails(3, exceeded, less)},
		{"-4084, explained by a capture of our own", "5",
			again().answer(53, 2, no(capture.CodeAmountExceeded)).fails(54, exceeded, less),
			again().answer(53, 2, no(capture.CodeAmountExceeded)).query(99, less).parks(104, capture.ReasonSumLowered, less)},
		{"-4084, explained by a query asked before it", "5",
			refusedBy(capture.CodeAmountExceeded).fails(2, exceeded, *latency(less, 3*time.Second)),
			refusedBy(capture.CodeAmountExceeded).fails(5, exceeded, *latency(less, 3*time.Second))},
		{"a smaller sum, and no -4084", "5",
			refusedBy(capture.CodeFieldMissing).fails(2, exceeded, less),
			refusedBy(capture.CodeFieldMissing).query(2, less)},
		{"-4085, and the currency agrees", "5",
			refusedBy(capture.CodeCurrencyMismatch).fails(2, currency, open),
			refusedBy(capture.CodeCurrencyMismatch).fails(2, currency, dollars)},
		{"-4024 after a lost call", "5",
			again().answer(53, 2, noTrade).query(100, noTrade).fails(110, incorrect, noTrade),
			again().answer(53, 2, noTrade).query(100, noTrade).parks(110, capture.ReasonTradeUnknown, noTrade)},
		{"-4024, and it is authorized", "5",
			refusedBy(capture.CodeTradeID).query(2, open).fails(10, incorrect, open),
			refusedBy(capture.CodeTradeID).query(2, noTrade).fails(10, incorrect, noTrade)},
		{"-4024, one query", "5",
			refusedBy(capture.CodeTradeID).fails(2, incorrect, noTrade),
			refusedBy(capture.CodeTradeID).query(2, noTrade).fails(7, incorrect, noTrade)},
		{"no such trade, one query, never called", "5",
			new(story).fails(0, incorrect, noTrade, brings(asks("30.00"))),
			new(story).query(0, noTrade).fails(5, incorrect, noTrade, brings(asks("30.00")))},
		{"declined in the answer, authorized in the query", "5",
			begun().answer(1, 1, declined).query(50, open).fails(55, "declined", open),
			begun().answer(1, 1, declined).query(50, open).parks(55, capture.ReasonRefusalContradicted, open)},
		{"declined in the answer, and called again", "5",
			begun().answer(1, 1, declined).query(50, open).query(55, open).intent(56, 1, 2, asks("30.00")),
			begun().answer(1, 1, declined).query(50, open).fails(55, "declined", sees(capture.OrderDeclined, "30.00"))},
		{"another word than the gateway's", "5",
			begun().fails(1, "expired", sees(capture.OrderDeclined, "30.00")),
			refusedBy(capture.CodeFieldMissing).fails(2, "expired", sees(capture.OrderExpired, "30.00"))},
		{"failed while it says paid", "5",
			refusedBy(capture.CodeTradeID).fails(50, incorrect, paid),
			refusedBy(capture.CodeTradeID).end(50, capture.Captured, "", capture.ViaQuery, paid)},
		{"failed by exhaustion", "5",
			begun().answer(1, 1, timeout).fails(50, "declined", timeout),
			begun().answer(1, 1, timeout).fails(50, "declined", sees(capture.OrderDeclined, "30.00"))},
		{"an outcome without evidence", "1",
			begun().add(1, capture.Event{Type: capture.Failed, Reason: "declined"}),
			begun().fails(1, "declined", sees(capture.OrderDeclined, "30.00"))},
	})
}

// TestFailedAtTheEndOfTheWindow is rules 5 and 10.
func TestFailedAtTheEndOfTheWindow(t *testing.T) {
	over := capture.ReasonWindowExceeded
	minute := func() *story { return new(story).intent(0, 1, 1, before(time.Minute)) }
	runTwins(t, []twin{
		{"before the deadline", "10",
			new(story).fails(59, over, open, brings(before(time.Minute))),
			new(story).fails(60, over, open, brings(before(time.Minute)))},
		{"before the window that Order Query shows", "10",
			new(story).fails(0, over, created(-29*day), brings(asks("30.00"))),
			new(story).fails(0, over, created(-30*day), brings(asks("30.00")))},
		{"without a known deadline", "10",
			refusedBy(capture.CodeWindowExceeded).query(46, open).fails(51, over, open),
			refusedBy(capture.CodeWindowExceeded).query(46, open).fails(51, over, created(-30*day))},
		{"-4089 a week before our deadline", "10",
			new(story).intent(0, 1, 1, before(7*day)).answer(1, 1, no(capture.CodeWindowExceeded)).fails(10, over, created(-29*day)),
			new(story).intent(0, 1, 1, before(7*day)).answer(1, 1, no(capture.CodeWindowExceeded)).fails(10, over, created(-31*day))},
		{"a call is in doubt", "5",
			minute().answer(1, 1, timeout).query(60, open).query(300, open).fails(600, over, open),
			minute().answer(1, 1, timeout).query(60, open).query(300, open).fails(hour+1, over, open)},
		{"-1000 is a doubt", "5",
			minute().answer(1, 1, errored).query(60, open).fails(600, over, open),
			minute().answer(1, 1, errored).query(60, open).fails(hour+1, over, open)},
		{"the queries of the hour do not agree", "5",
			minute().answer(1, 1, timeout).query(60, open).query(hour, noTrade).fails(hour+10, over, open),
			minute().answer(1, 1, timeout).query(60, noTrade).query(hour+1, open).fails(hour+10, over, open)},
		{"a refusal that is not explained", "5",
			minute().answer(1, 1, no(capture.CodeFieldMissing)).query(60, open).fails(600, over, open),
			minute().answer(1, 1, no(capture.CodeFieldMissing)).query(60, open).fails(hour+1, over, open)},
		{"-4024 is not explained by authorized", "5",
			minute().answer(1, 1, noTrade).query(60, open).fails(600, over, open),
			minute().answer(1, 1, no(capture.CodeWindowExceeded)).query(60, open).fails(600, over, open)},
		{"no query since the last call", "10",
			minute().answer(59, 1, no(capture.CodeWindowExceeded)).fails(61, over, *latency(open, 3*time.Second)),
			minute().answer(59, 1, no(capture.CodeWindowExceeded)).fails(63, over, *latency(open, 3*time.Second))},
	})
}

// TestCapturedIsPaidAsAsked is rule 6.
func TestCapturedIsPaidAsAsked(t *testing.T) {
	partial := asks("30.00")
	partial.AuthorizedAmount = eur("40.00")
	unread := capture.Answer{Kind: capture.AnswerUnknown, Code: "200", Order: &capture.Order{State: capture.OrderPaid, AmountText: "many EUR"}}
	runTwins(t, []twin{
		{"another sum", "6",
			begun().end(1, capture.Captured, "", capture.ViaQuery, sees(capture.OrderPaid, "12.00")),
			begun().end(1, capture.Captured, "", capture.ViaQuery, paid)},
		{"a sum that was not requested", "6",
			begun().end(1, capture.Captured, "", capture.ViaQuery, sees(capture.OrderPaid, "12.00"), func(e *capture.Event) { e.Amount = "12.00" }),
			begun().end(1, capture.Captured, "", capture.ViaQuery, paid)},
		{"not paid", "6",
			begun().end(1, capture.Captured, "", capture.ViaQuery, open), begun().end(1, capture.Captured, "", capture.ViaQuery, paid)},
		{"the authorized amount", "6",
			begun().end(1, capture.Captured, "", capture.ViaQuery, sees(capture.OrderPaid, "40.00")),
			new(story).intent(0, 1, 1, partial).end(1, capture.Captured, "", capture.ViaQuery, sees(capture.OrderPaid, "40.00"))},
		{"the authorized amount, never called", "6",
			new(story).end(1, capture.Captured, "", capture.ViaQuery, sees(capture.OrderPaid, "40.00"), brings(partial)),
			new(story).end(1, capture.Captured, "", capture.ViaQuery, paid, brings(partial))},
		{"a sum that cannot be read", "6",
			begun().end(1, capture.Captured, "", capture.ViaQuery, unread),
			begun().parks(1, capture.ReasonAmountUnreadable, unread)},
		{"paid, and only noted", "6",
			begun().query(1, paid), begun().end(1, capture.Captured, "", capture.ViaQuery, paid)},
		{"paid with a sum that cannot be read, and only noted", "6",
			begun().query(1, unread), begun().parks(1, capture.ReasonAmountUnreadable, unread).query(9, unread)},
		{"parked for the amount that was asked", "6",
			begun().parks(1, capture.ReasonAmountMismatch, paid),
			begun().parks(1, capture.ReasonAmountMismatch, sees(capture.OrderPaid, "12.00"))},
		{"parked for an amount that can be read", "6",
			begun().parks(1, capture.ReasonAmountUnreadable, sees(capture.OrderPaid, "12.00")),
			begun().parks(1, capture.ReasonAmountUnreadable, unread)},
		{"parked for an amount that was not paid", "6",
			begun().parks(1, capture.ReasonAmountMismatch, sees(capture.OrderAuthorized, "12.00")),
			begun().parks(1, capture.ReasonAmountMismatch, sees(capture.OrderPaid, "12.00"))},
		{"captured for another parcel", "6",
			parcel("p1").end(1, capture.Captured, "", capture.ViaCapture, paid, named("p2")),
			parcel("p1").end(1, capture.Captured, "", capture.ViaCapture, paid, named("p1"))},
		{"captured without an intent", "1",
			new(story).end(0, capture.Captured, "", capture.ViaCapture, paid, brings(asks("30.00"))),
			begun().end(1, capture.Captured, "", capture.ViaCapture, paid)},
	})
}

func TestParked(t *testing.T) {
	late := func(at float64) *story {
		return begun().add(at, capture.Event{Type: capture.Parked, Reason: capture.ReasonUnresolved, Amount: "30.00", Currency: "EUR"})
	}
	runTwins(t, []twin{
		{"for no reason", "5",
			begun().parks(1, "", sees("odd", "30.00")),
			begun().parks(1, capture.ReasonStateUnclear, sees("odd", "30.00"))},
		{"for a clear state", "5",
			begun().parks(1, capture.ReasonStateUnclear, sees(capture.OrderPending, "30.00")),
			begun().parks(1, capture.ReasonRefunded, sees(capture.OrderRefunded, "30.00"))},
		{"as refunded, which it is not", "5",
			begun().parks(1, capture.ReasonRefunded, sees("odd", "30.00")),
			begun().parks(1, capture.ReasonRefunded, sees(capture.OrderRefunded, "30.00"))},
		{"as unknown on one query", "5",
			begun().answer(1, 1, timeout).parks(50, capture.ReasonTradeUnknown, noTrade),
			begun().answer(1, 1, timeout).query(50, noTrade).parks(55, capture.ReasonTradeUnknown, noTrade)},
		{"as unknown, with no call in doubt", "5",
			refusedBy(capture.CodeTradeID).query(50, noTrade).parks(55, capture.ReasonTradeUnknown, noTrade),
			refusedBy(capture.CodeTradeID).query(50, noTrade).fails(55, capture.ReasonTradeIncorrect, noTrade)},
		{"for a lowered sum, with no call in doubt", "5",
			refusedBy(capture.CodeAmountExceeded).query(46, open).query(99, less).parks(104, capture.ReasonSumLowered, less),
			begun().answer(1, 1, timeout).query(46, open).query(99, less).parks(104, capture.ReasonSumLowered, less)},
		{"for a lowered sum, on one query", "3",
			begun().answer(1, 1, timeout).query(40, open).parks(46, capture.ReasonSumLowered, less),
			begun().answer(1, 1, timeout).query(40, open).query(46, less).parks(51, capture.ReasonSumLowered, less)},
		{"for a lowered sum that is not lower", "5",
			begun().answer(1, 1, timeout).query(46, open).parks(51, capture.ReasonSumLowered, open),
			begun().answer(1, 1, timeout).query(46, whole).query(51, open).parks(57, capture.ReasonSumLowered, open)},
		{"given up early", "10", late(71 * hour), late(73 * hour)},
	})
}
