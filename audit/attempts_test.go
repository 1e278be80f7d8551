package audit_test

import (
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/audit"
	"github.com/capture-worker/capture-worker/capture"
)

func TestCallsAndIntents(t *testing.T) {
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
	})
}

func TestCallsAreCleared(t *testing.T) {
	deadline := before(time.Minute)
	runTwins(t, []twin{
		{"a first call into a ledger that holds something", "2",
			new(story).add(0, capture.Event{Type: capture.Notified}).intent(1, 1, 1, asks("30.00")),
			new(story).add(0, capture.Event{Type: capture.Notified}).query(1, open).intent(1, 1, 1, asks("30.00"))},
		{"a second call without a job", "2",
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
		{"a call while another is under way, by a clock that is behind", "2",
			begun().query(85, open).query(90, open).intent(30, 1, 2, asks("30.00")),
			begun().query(85, open).query(90, open).intent(40, 1, 2, asks("30.00"))},
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
		{"one query after -1000 to a part of the sum", "3",
			begun().answer(1, 1, errored).query(2, whole).intent(3, 1, 2, asks("30.00")),
			begun().answer(1, 1, errored).query(46, whole).query(51, whole).intent(52, 1, 2, asks("30.00"))},
		{"one query after -1000 that shows no sum", "3",
			begun().answer(1, 1, errored).query(2, sumless).intent(3, 1, 2, asks("30.00")),
			begun().answer(1, 1, errored).query(2, open).intent(3, 1, 2, asks("30.00"))},
		{"a call though the sum was lowered", "3",
			begun().answer(1, 1, timeout).query(46, whole).query(51, open).query(56, open).intent(57, 1, 2, asks("30.00")),
			begun().answer(1, 1, noTrade).query(46, whole).query(51, open).query(56, open).intent(57, 1, 2, asks("30.00"))},
		{"a call on an authorized that was contradicted since", "2",
			begun().answer(1, 1, errored).query(2, open).query(3, sees(capture.OrderPending, "30.00")).intent(4, 1, 2, asks("30.00")),
			begun().answer(1, 1, errored).query(2, sees(capture.OrderPending, "30.00")).query(3, open).intent(4, 1, 2, asks("30.00"))},
		{"a call after the deadline", "10",
			new(story).intent(60, 1, 1, deadline), new(story).intent(59, 1, 1, deadline)},
		{"a call after the window that Order Query shows", "10",
			new(story).query(1, created(-30*day)).intent(2, 1, 1, asks("30.00")),
			new(story).query(1, created(-29*day)).intent(2, 1, 1, asks("30.00"))},
		{"a call after the window that the job shows", "10",
			new(story).intent(0, 1, 1, authorizedAt(-30*day)), new(story).intent(0, 1, 1, authorizedAt(-29*day))},
		{"what the job says goes before what Order Query shows", "10",
			new(story).query(1, created(-29*day)).intent(60, 1, 1, deadline),
			new(story).query(1, created(-31*day)).intent(59, 1, 1, deadline)},
	})
}

// TestOneSpellingOfATrade checks that a UUID is in lower case in the ledger, and
// goes to the gateway as the first job wrote it.
func TestOneSpellingOfATrade(t *testing.T) {
	const lower, upper = "160899f3-f6d9-a8d8-ab5b-82eacdab9c5b", "160899F3-F6D9-A8D8-AB5B-82EACDAB9C5B"
	spelled := func(ledger, first, second string) []capture.Event {
		one, two := asks("30.00"), asks("30.00")
		one.TradeID, two.TradeID = first, second
		s := new(story).intent(0, 1, 1, one).answer(1, 1, errored).query(2, open).intent(3, 1, 2, two)
		for i := range s.events {
			s.events[i].TradeID = ledger
		}
		return s.events
	}
	for name, tt := range map[string]struct {
		trade, ledger, first, second string
		good                         bool
	}{
		"lower case":             {lower, lower, lower, lower, true},
		"the job's upper case":   {lower, lower, upper, upper, true},
		"asked in upper case":    {upper, lower, upper, upper, true},
		"upper in the ledger":    {upper, upper, upper, upper, false},
		"another to the gateway": {lower, lower, upper, lower, false},
		"no UUID keeps its case": {"T1", "t1", "t1", "t1", false},
	} {
		t.Run(name, func(t *testing.T) {
			found := audit.Events(tt.trade, spelled(tt.ledger, tt.first, tt.second), policy)
			if tt.good != (len(found) == 0) {
				t.Errorf("found %v", found)
			}
			for _, v := range found {
				if v.Rule != "7" {
					t.Errorf("rule %s, want 7: %s", v.Rule, v)
				}
			}
		})
	}
}

// TestAskFirst checks that no call is made without a query under a policy with
// AskFirst.
func TestAskFirst(t *testing.T) {
	first := policy
	first.AskFirst = true
	if found := audit.Events("T1", begun().events, first); len(found) != 1 || found[0].Rule != "2" {
		t.Errorf("an unasked first call: %v", found)
	}
	if found := audit.Events("T1", new(story).query(0, open).intent(1, 1, 1, asks("30.00")).events, first); len(found) != 0 {
		t.Errorf("a first call after a query: %v", found)
	}
}

// refusedTwice is a trade whose first two request_ids were answered -4118.
func refusedTwice() *story {
	s := begun().answer(1, 1, no(capture.CodeRequestID)).query(46, open).query(51, open)
	return s.intent(52, 2, 2, asks("30.00")).answer(53, 2, no(capture.CodeRequestID))
}

// repeatRefusedTwice meets a gateway that refuses repeats: -1000, -4118, twice.
func repeatRefusedTwice() *story {
	s := begun().answer(1, 1, errored).query(2, open).intent(3, 1, 2, asks("30.00")).answer(4, 2, no(capture.CodeRequestID))
	s.query(50, open).query(55, open).intent(56, 2, 3, asks("30.00")).answer(57, 3, errored).query(58, open)
	return s.intent(59, 2, 4, asks("30.00")).answer(60, 4, no(capture.CodeRequestID))
}

// manyIDs uses n request_ids, each answered -1000 and then refused.
func manyIDs(n int) *story { return begun().useIDs(1, n, 1) }

// releasedIDs uses n new request_ids after ten and a release.
func releasedIDs(n int) *story {
	s := manyIDs(10).add(9000, capture.Event{Type: capture.Parked, Reason: capture.ReasonRequestIDsSpent})
	s.add(9001, capture.Event{Type: capture.Released, By: "ann", Note: "again"})
	s.query(9050, open).query(9055, open).intent(9056, 11, 21, asks("30.00"))
	return s.useIDs(11, 10+n, 9057)
}

// useIDs spends the request_ids from the one under way up to the last.
func (s *story) useIDs(from, last int, at float64) *story {
	for attempt := from; attempt < last; attempt++ {
		call := 2*attempt - 1
		s.answer(at, call, errored).query(at+1, open).intent(at+2, attempt, call+1, asks("30.00"))
		s.answer(at+3, call+1, no(capture.CodeRequestID)).query(at+60, open).query(at+65, open)
		s.intent(at+66, attempt+1, call+2, asks("30.00"))
		at += 67
	}
	call := 2*last - 1
	s.answer(at, call, errored).query(at+1, open).intent(at+2, last, call+1, asks("30.00"))
	return s.answer(at+3, call+1, no(capture.CodeRequestID)).query(at+60, open).query(at+65, open)
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
			repeatRefusedTwice().query(200, open).query(205, open).intent(206, 3, 5, asks("30.00")).
				change(func(e *capture.Event) { e.RequestID = id(1) }),
			repeatRefusedTwice().query(200, open).query(205, open).intent(206, 3, 5, asks("30.00"))},
		{"parked after one refused request_id", "4",
			begun().answer(1, 1, no(capture.CodeRequestID)).end(46, capture.Parked, capture.ReasonRequestIDRefused, capture.ViaQuery, open),
			refusedTwice().end(54, capture.Parked, capture.ReasonRequestIDRefused, capture.ViaQuery, open)},
		{"parked for a repeated request_id that was refused", "4",
			repeatRefusedTwice().end(200, capture.Parked, capture.ReasonRequestIDRefused, capture.ViaQuery, open),
			repeatRefusedTwice().query(200, open).query(205, open).intent(206, 3, 5, asks("30.00"))},
		{"a call after two new request_ids were refused", "4",
			refusedTwice().query(98, open).query(103, open).intent(104, 3, 3, asks("30.00")),
			refusedTwice().query(98, open).query(103, open)},
		{"one request_id too many", "4", manyIDs(11), manyIDs(10)},
		{"parked for its request_ids too early", "4",
			manyIDs(9).add(9000, capture.Event{Type: capture.Parked, Reason: capture.ReasonRequestIDsSpent}),
			manyIDs(10).add(9000, capture.Event{Type: capture.Parked, Reason: capture.ReasonRequestIDsSpent})},
		{"one request_id too many since the release", "4", releasedIDs(11), releasedIDs(10)},
		{"a first intent that is not the first", "7",
			new(story).intent(0, 1, 2, asks("30.00")), begun()},
		{"an attempt left out", "7",
			begun().answer(1, 1, no(capture.CodeRequestID)).query(46, open).query(51, open).intent(52, 3, 2, asks("30.00")),
			begun().answer(1, 1, no(capture.CodeRequestID)).query(46, open).query(51, open).intent(52, 2, 2, asks("30.00"))},
		{"an answer that holds none", "1",
			begun().add(1, capture.Event{Type: capture.Answered, Call: 1, Via: capture.ViaCapture}), begun().answer(1, 1, timeout)},
		{"a call number twice", "7",
			begun().answer(1, 1, errored).query(2, open).intent(3, 1, 1, asks("30.00")),
			begun().answer(1, 1, errored).query(2, open).intent(3, 1, 2, asks("30.00"))},
		{"a job of another trade", "7",
			new(story).intent(0, 1, 1, &capture.Job{TradeID: "T2", Amount: eur("30.00")}), begun()},
		{"an event of another trade", "7",
			begun().change(func(e *capture.Event) { e.TradeID = "T2" }), begun()},
		{"an event twice", "7",
			begun().answer(1, 1, timeout).change(func(e *capture.Event) { e.ID = "e1" }), begun().answer(1, 1, timeout)},
		{"an answer twice", "7",
			begun().answer(1, 1, timeout).answer(2, 1, timeout), begun().answer(1, 1, timeout)},
	})
}
