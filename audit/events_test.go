package audit_test

import (
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

func TestCallsAndIntents(t *testing.T) {
	deadline := asks("30.00")
	deadline.CaptureBefore = noon.Add(time.Minute)
	runTwins(t, []twin{
		{"captured without an intent", "1",
			new(story).end(0, capture.Captured, "", capture.ViaCapture, paid, brings(asks("30.00"))),
			begun().end(1, capture.Captured, "", capture.ViaCapture, paid)},
		{"an answer to no call", "1",
			new(story).answer(0, 1, timeout), begun().answer(1, 1, timeout)},
		{"an intent without its job", "1",
			new(story).intent(0, 1, 1, nil), begun()},
		{"an intent without a lease", "1",
			begun().change(func(e *capture.Event) { e.LeaseUntil = time.Time{} }), begun()},
		{"an outcome without evidence", "1",
			begun().add(1, capture.Event{Type: capture.Failed, Reason: "declined"}),
			begun().end(1, capture.Failed, "declined", capture.ViaQuery, sees(capture.OrderDeclined, "30.00"))},
		{"a first call into a ledger that holds something", "2",
			new(story).add(0, capture.Event{Type: capture.Notified}).intent(1, 1, 1, asks("30.00")),
			new(story).add(0, capture.Event{Type: capture.Notified}).query(1, open).intent(1, 1, 1, asks("30.00"))},
		{"a second call that nobody asked for", "2",
			begun().answer(1, 1, errored).intent(2, 1, 2, asks("30.00")),
			begun().answer(1, 1, errored).query(2, open).intent(2, 1, 2, asks("30.00"))},
		{"asked before the call ended", "2",
			begun().query(1, open).answer(2, 1, errored).intent(3, 1, 2, asks("30.00")),
			begun().query(1, open).answer(2, 1, errored).query(3, open).intent(3, 1, 2, asks("30.00"))},
		{"a slow query is as old as its question", "2",
			begun().answer(5, 1, errored).query(6, open).change(func(e *capture.Event) { e.Answer = latency(*e.Answer, 3*time.Second) }).intent(7, 1, 2, asks("30.00")),
			begun().answer(5, 1, errored).query(6, open).change(func(e *capture.Event) { e.Answer = latency(*e.Answer, time.Second) }).intent(7, 1, 2, asks("30.00"))},
		{"an old query, written down late", "2",
			begun().answer(5, 1, errored).query(2, open).intent(7, 1, 2, asks("30.00")),
			begun().answer(5, 1, errored).query(6, open).query(2, open).intent(7, 1, 2, asks("30.00"))},
		{"a call while another is under way", "2",
			begun().query(1, open).intent(2, 1, 2, asks("30.00")),
			begun().query(85, open).query(90, open).intent(91, 1, 2, asks("30.00"))},
		{"one query after a lost call", "3",
			begun().answer(1, 1, timeout).query(51, open).intent(52, 1, 2, asks("30.00")),
			lost().intent(52, 1, 2, asks("30.00"))},
		{"queries before the settle time", "3",
			begun().answer(1, 1, timeout).query(20, open).query(46, open).intent(52, 1, 2, asks("30.00")),
			lost().intent(52, 1, 2, asks("30.00"))},
		{"queries too close to each other", "3",
			begun().answer(1, 1, timeout).query(46, open).query(50, open).intent(52, 1, 2, asks("30.00")),
			lost().intent(52, 1, 2, asks("30.00"))},
		{"queries that contradict", "3",
			begun().answer(1, 1, timeout).query(46, open).query(51, sees(capture.OrderPending, "30.00")).query(56, open).intent(57, 1, 2, asks("30.00")),
			begun().answer(1, 1, timeout).query(46, open).query(51, timeout).query(56, open).intent(57, 1, 2, asks("30.00"))},
		{"a call after a crash, on one query", "3",
			begun().query(86, open).intent(87, 1, 2, asks("30.00")),
			begun().query(86, open).query(91, open).intent(92, 1, 2, asks("30.00"))},
		{"a call after the deadline", "10",
			new(story).intent(60, 1, 1, deadline), new(story).intent(59, 1, 1, deadline)},
	})
}

func latency(a capture.Answer, d time.Duration) *capture.Answer {
	a.Latency = d
	return &a
}

func TestRequestIDsAndSequence(t *testing.T) {
	thrice := func() *story {
		s := begun().answer(1, 1, errored).query(2, open)
		s.intent(3, 1, 2, asks("30.00")).answer(4, 2, errored).query(5, open)
		return s.intent(6, 1, 3, asks("30.00")).answer(7, 3, errored)
	}
	runTwins(t, []twin{
		{"a short request_id", "4",
			begun().change(func(e *capture.Event) { e.RequestID = "short" }), begun()},
		{"a request_id with a dash", "4",
			begun().change(func(e *capture.Event) { e.RequestID = "0123456789-0123456789-0123456789" }), begun()},
		{"a new request_id for no reason", "4",
			begun().answer(1, 1, errored).query(2, open).intent(3, 2, 2, asks("30.00")),
			begun().answer(1, 1, errored).query(2, open).intent(3, 1, 2, asks("30.00"))},
		{"a new request_id too early", "4",
			thrice().query(8, open).intent(9, 2, 4, asks("30.00")),
			thrice().query(52, open).query(57, open).intent(58, 2, 4, asks("30.00"))},
		{"an old request_id again", "4",
			begun().answer(1, 1, no(capture.CodeRequestID)).query(46, open).query(51, open).intent(52, 2, 2, asks("30.00")).
				answer(53, 2, no(capture.CodeRequestID)).query(98, open).query(103, open).intent(104, 3, 3, asks("30.00")).
				change(func(e *capture.Event) { e.RequestID = id(1) }),
			begun().answer(1, 1, no(capture.CodeRequestID)).query(46, open).query(51, open).intent(52, 2, 2, asks("30.00"))},
		{"parked after one refused request_id", "4",
			begun().answer(1, 1, no(capture.CodeRequestID)).end(46, capture.Parked, capture.ReasonRequestIDRefused, capture.ViaQuery, open),
			begun().answer(1, 1, no(capture.CodeRequestID)).query(46, open).query(51, open).intent(52, 2, 2, asks("30.00")).
				answer(53, 2, no(capture.CodeRequestID)).end(54, capture.Parked, capture.ReasonRequestIDRefused, capture.ViaQuery, open)},
		{"a call number twice", "7",
			begun().answer(1, 1, errored).query(2, open).intent(3, 1, 1, asks("30.00")),
			begun().answer(1, 1, errored).query(2, open).intent(3, 1, 2, asks("30.00"))},
		{"an event of another trade", "7",
			begun().change(func(e *capture.Event) { e.TradeID = "T2" }), begun()},
		{"an event twice", "7",
			begun().answer(1, 1, timeout).change(func(e *capture.Event) { e.ID = "e1" }), begun().answer(1, 1, timeout)},
		{"an answer twice", "7",
			begun().answer(1, 1, timeout).answer(2, 1, timeout), begun().answer(1, 1, timeout)},
	})
}

func TestJobsAndCorrections(t *testing.T) {
	failed := func() *story {
		return begun().end(1, capture.Failed, capture.ReasonAmountExceeded, capture.ViaCapture, no(capture.CodeAmountExceeded))
	}
	parked := func() *story {
		return begun().answer(1, 1, timeout).end(2, capture.Parked, capture.ReasonStateUnclear, capture.ViaQuery, sees("odd", "30.00"))
	}
	day, week := asks("30.00"), asks("30.00")
	day.CaptureBefore, week.CaptureBefore = noon.Add(24*time.Hour), noon.Add(7*24*time.Hour)
	window := func() *story {
		s := new(story).intent(0, 1, 1, day).answer(1, 1, no(capture.CodeWindowExceeded)).query(46, open)
		return s.end(51, capture.Failed, capture.ReasonWindowExceeded, capture.ViaQuery, open)
	}
	release := capture.Event{Type: capture.Released, By: "ann", Note: "again"}
	runTwins(t, []twin{
		{"a call for a captured trade", "8",
			begun().end(1, capture.Captured, "", capture.ViaCapture, paid).query(2, open).intent(3, 2, 2, asks("20.00")),
			begun().end(1, capture.Captured, "", capture.ViaCapture, paid)},
		{"a call for a parked trade", "8",
			parked().query(50, open).query(55, open).intent(56, 1, 2, asks("30.00")),
			parked().add(49, release).query(50, open).query(55, open).intent(56, 1, 2, asks("30.00"))},
		{"the same ask after failed", "8",
			failed().query(2, open).intent(3, 2, 2, asks("30.00")),
			failed().query(2, open).intent(3, 2, 2, asks("25.00"))},
		{"no more time after the window was over", "8",
			window().query(60, open).intent(61, 2, 2, day),
			window().query(60, open).intent(61, 2, 2, week)},
		{"another ask with the old request_id", "4",
			failed().query(2, open).intent(3, 1, 2, asks("25.00")),
			failed().query(2, open).intent(3, 2, 2, asks("25.00"))},
		{"a retry for another amount", "8",
			lost().intent(52, 1, 2, asks("20.00")), lost().intent(52, 1, 2, asks("30.00"))},
		{"released without a reason", "8",
			parked().add(3, capture.Event{Type: capture.Released, By: "ann"}), parked().add(3, release)},
		{"released, not parked", "8", failed().add(3, release), parked().add(3, release)},
		{"captured taken back", "11",
			begun().end(1, capture.Captured, "", capture.ViaCapture, paid).end(2, capture.Failed, "expired", capture.ViaQuery, sees(capture.OrderExpired, "30.00"), corrects("e2")),
			begun().end(1, capture.Captured, "", capture.ViaCapture, paid)},
		{"a correction without a name", "11",
			failed().end(2, capture.Captured, "", capture.ViaQuery, paid),
			failed().end(2, capture.Captured, "", capture.ViaQuery, paid, corrects("e2"))},
		{"a correction of the wrong event", "11",
			failed().end(2, capture.Captured, "", capture.ViaQuery, paid, corrects("e1")),
			failed().end(2, capture.Captured, "", capture.ViaQuery, paid, corrects("e2"))},
		{"a correction of nothing", "11",
			begun().end(2, capture.Captured, "", capture.ViaQuery, paid, corrects("e1")),
			begun().end(2, capture.Captured, "", capture.ViaQuery, paid)},
	})
}

func TestOutcomes(t *testing.T) {
	deadline := asks("30.00")
	deadline.CaptureBefore = noon.Add(time.Minute)
	late := func() *story { return new(story).intent(0, 1, 1, deadline).answer(1, 1, timeout) }
	twice := func() *story { return begun().answer(1, 1, errored).query(2, open).intent(3, 1, 2, asks("30.00")) }
	partial := asks("30.00")
	partial.AuthorizedAmount = eur("40.00")
	over := capture.ReasonWindowExceeded
	runTwins(t, []twin{
		{"failed on a timeout", "5",
			begun().end(1, capture.Failed, capture.ReasonAmountExceeded, capture.ViaCapture, timeout),
			begun().end(1, capture.Failed, capture.ReasonAmountExceeded, capture.ViaCapture, no(capture.CodeAmountExceeded))},
		{"failed on -4024 without a query", "5",
			begun().end(1, capture.Failed, capture.ReasonTradeIncorrect, capture.ViaCapture, no(capture.CodeTradeID)),
			begun().answer(1, 1, no(capture.CodeTradeID)).end(2, capture.Failed, capture.ReasonTradeIncorrect, capture.ViaQuery, no(capture.CodeTradeID))},
		{"failed on a refusal after -1000", "5",
			twice().end(4, capture.Failed, capture.ReasonAmountExceeded, capture.ViaCapture, no(capture.CodeAmountExceeded), call(2)),
			twice().answer(4, 2, no(capture.CodeAmountExceeded)).query(49, open).end(54, capture.Failed, capture.ReasonAmountExceeded, capture.ViaQuery, open)},
		{"failed while it says paid", "5",
			begun().answer(1, 1, no(capture.CodeWindowExceeded)).end(50, capture.Failed, over, capture.ViaQuery, paid),
			begun().answer(1, 1, no(capture.CodeWindowExceeded)).query(50, open).end(55, capture.Failed, over, capture.ViaQuery, open)},
		{"failed by exhaustion", "5",
			begun().answer(1, 1, timeout).end(50, capture.Failed, "declined", capture.ViaQuery, timeout),
			begun().answer(1, 1, timeout).end(50, capture.Failed, "declined", capture.ViaQuery, sees(capture.OrderDeclined, "30.00"))},
		{"failed with a call that may land", "5",
			late().end(60, capture.Failed, over, capture.ViaQuery, open),
			late().query(60, open).end(65, capture.Failed, over, capture.ViaQuery, open)},
		{"failed before the deadline", "10",
			new(story).end(59, capture.Failed, over, capture.ViaQuery, open, brings(deadline)),
			new(story).end(60, capture.Failed, over, capture.ViaQuery, open, brings(deadline))},
		{"captured another sum", "6",
			begun().end(1, capture.Captured, "", capture.ViaQuery, sees(capture.OrderPaid, "12.00")),
			begun().end(1, capture.Captured, "", capture.ViaQuery, paid)},
		{"captured what is not paid", "6",
			begun().end(1, capture.Captured, "", capture.ViaQuery, open), begun().end(1, capture.Captured, "", capture.ViaQuery, paid)},
		{"captured the authorized amount", "6",
			begun().end(1, capture.Captured, "", capture.ViaQuery, sees(capture.OrderPaid, "40.00")),
			new(story).intent(0, 1, 1, partial).end(1, capture.Captured, "", capture.ViaQuery, sees(capture.OrderPaid, "40.00"))},
		{"parked for the amount that was asked", "6",
			begun().end(1, capture.Parked, capture.ReasonAmountMismatch, capture.ViaQuery, paid),
			begun().end(1, capture.Parked, capture.ReasonAmountMismatch, capture.ViaQuery, sees(capture.OrderPaid, "12.00"))},
		{"parked for no reason", "5",
			begun().end(1, capture.Parked, "", capture.ViaQuery, sees("odd", "30.00")),
			begun().end(1, capture.Parked, capture.ReasonStateUnclear, capture.ViaQuery, sees("odd", "30.00"))},
		{"parked as unknown on one query", "5",
			begun().answer(1, 1, timeout).end(50, capture.Parked, capture.ReasonTradeUnknown, capture.ViaQuery, no(capture.CodeTradeID)),
			begun().answer(1, 1, timeout).query(50, no(capture.CodeTradeID)).end(55, capture.Parked, capture.ReasonTradeUnknown, capture.ViaQuery, no(capture.CodeTradeID))},
		{"given up early", "10",
			begun().add(71*3600, capture.Event{Type: capture.Parked, Reason: capture.ReasonUnresolved, Amount: "30.00", Currency: "EUR"}),
			begun().add(73*3600, capture.Event{Type: capture.Parked, Reason: capture.ReasonUnresolved, Amount: "30.00", Currency: "EUR"})},
	})
}
