package audit_test

import (
	"testing"

	"github.com/capture-worker/capture-worker/capture"
)

// refusedTimes is a trade of which n calls, a minute apart, got the answer, each
// before a query that says authorized twice.
func refusedTimes(n int, a capture.Answer, change ...func(*story)) *story {
	s := new(story)
	for i := range n {
		at := float64(60 * i)
		s.intent(at, 1, i+1, asks("30.00")).answer(at+1, i+1, a)
		for _, c := range change {
			c(s)
		}
		s.query(at+47, open).query(at+53, open)
	}
	return s
}

func excused(s *story) { s.excused() }

// asked is a trade that was never called and got n answers to its queries.
func asked(n int, a capture.Answer) *story {
	s := new(story)
	for i := range n {
		s.query(float64(60*i), a)
	}
	return s
}

// TestAnswersThatSettleNothing is rules 5, 9 and 10: five of them end the calls,
// and an hour after the first the trade is parked.
func TestAnswersThatSettleNothing(t *testing.T) {
	missing, contradicted := no(capture.CodeFieldMissing), no(capture.CodeAmountExceeded)
	unknown, refused, why := capture.ReasonUnknownCode, capture.ReasonRequestRefused, capture.ReasonRefusalContradicted
	mixed := func(n int) *story { // three refusals, then answers to queries
		s := refusedTimes(3, contradicted)
		for i := range n {
			s.query(float64(200+i), odd)
		}
		return s.query(300, open).query(306, open)
	}
	runTwins(t, []twin{
		{"a sixth call after refusals", "10",
			refusedTimes(5, contradicted).intent(400, 1, 6, asks("30.00")),
			refusedTimes(4, contradicted).intent(400, 1, 5, asks("30.00"))},
		{"a sixth call after unlisted codes", "10",
			refusedTimes(5, odd).intent(400, 1, 6, asks("30.00")),
			refusedTimes(4, odd).intent(400, 1, 5, asks("30.00"))},
		{"answers to queries count as well", "10",
			mixed(2).intent(400, 1, 4, asks("30.00")), mixed(1).intent(400, 1, 4, asks("30.00"))},
		{"excused answers do not count", "10",
			refusedTimes(6, contradicted).intent(400, 1, 7, asks("30.00")),
			refusedTimes(6, contradicted, excused).intent(400, 1, 7, asks("30.00"))},
		{"lost answers and -1000 do not count", "10",
			refusedTimes(6, odd).intent(400, 1, 7, asks("30.00")),
			refusedTimes(6, timeout).intent(400, 1, 7, asks("30.00"))},
		{"a release starts over", "10",
			refusedTimes(5, contradicted).parks(hour+2, why, open).query(hour+3, open).intent(hour+9, 1, 6, asks("30.00")),
			refusedTimes(5, contradicted).parks(hour+2, why, open).operator(hour+3, capture.Released).
				query(hour+4, open).intent(hour+9, 1, 6, asks("30.00"))},

		{"parked after four", "10",
			refusedTimes(4, contradicted).parks(2*hour, why, open), refusedTimes(5, contradicted).parks(2*hour, why, open)},
		{"parked within the hour", "10",
			refusedTimes(5, contradicted).parks(hour, why, open), refusedTimes(5, contradicted).parks(hour+1, why, open)},
		{"parked for unlisted codes too early", "10",
			asked(5, odd).parks(hour-1, unknown, open, brings(asks("30.00"))),
			asked(5, odd).parks(hour, unknown, open, brings(asks("30.00")))},
		{"parked for -3001 after four", "9",
			refusedTimes(4, missing).parks(400, refused, open), refusedTimes(5, missing).parks(400, refused, open)},
		{"parked for -3001 that never came", "9",
			refusedTimes(5, contradicted).parks(400, refused, open), refusedTimes(5, missing).parks(400, refused, open)},
		{"parked for answers that are excused", "10",
			refusedTimes(5, contradicted, excused).parks(2*hour, why, open),
			refusedTimes(5, contradicted).parks(2*hour, why, open)},
		{"parked while a fault of ours is known", "9",
			refusedTimes(5, contradicted).parks(2*hour, why, open).excused(),
			refusedTimes(5, contradicted).query(2*hour, open).excused()},
		{"failed while a fault of ours is known", "9",
			refusedBy(capture.CodeAmountExceeded).fails(2, capture.ReasonAmountExceeded, less).excused(),
			refusedBy(capture.CodeAmountExceeded).fails(2, "declined", sees(capture.OrderDeclined, "30.00")).excused()},
		{"parked for an excused answer that says declined", "10",
			begun().answer(1, 1, declined).excused().query(46, open).parks(51, why, open),
			begun().answer(1, 1, declined).query(46, open).parks(51, why, open)},
		{"an excused answer that says declined forbids no call", "5",
			begun().answer(1, 1, declined).query(46, open).query(51, open).intent(52, 1, 2, asks("30.00")),
			begun().answer(1, 1, declined).excused().query(46, open).query(51, open).intent(52, 1, 2, asks("30.00"))},
		{"an excused query does not agree", "5",
			asked(1, noTrade).excused().fails(60, capture.ReasonTradeIncorrect, noTrade, brings(asks("30.00"))),
			asked(1, noTrade).fails(60, capture.ReasonTradeIncorrect, noTrade, brings(asks("30.00")))},
	})
}
