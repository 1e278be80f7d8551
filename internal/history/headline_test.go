package history

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

var testNow = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return testNow.Add(-d) }

// story is a trade with one capture call two minutes ago, and what follows.
func story(more ...capture.Event) []capture.Event {
	euro, err := capture.ReadAmount("24.99", "EUR")
	if err != nil {
		panic(err)
	}
	job := capture.Job{TradeID: "T-1", Amount: euro, AuthorizedAt: ago(24 * time.Hour)}
	events := []capture.Event{{
		ID: "E0", Type: capture.Attempted, Time: ago(2 * time.Minute), Call: 1, Attempt: 1, RequestID: "R",
		LeaseUntil: ago(time.Minute), Job: &job,
	}}
	for i, e := range more {
		if e.ID == "" {
			e.ID = "E" + string(rune('1'+i))
		}
		events = append(events, e)
	}
	for i := range events {
		events[i].TradeID, events[i].Worker = "T-1", "w"
	}
	return events
}

func ended(t capture.EventType, reason string) capture.Event {
	return capture.Event{Type: t, Time: ago(30 * time.Second), Reason: reason, Amount: "24.99", Currency: "EUR"}
}

// The summary of every phase has the state, since when, and what comes next.
func TestSummary(t *testing.T) {
	t.Parallel()
	running := story()
	running[0].LeaseUntil = testNow.Add(time.Minute)
	unknown := &capture.Answer{Kind: capture.AnswerUnknown, Code: capture.CodeInternal}
	answered := capture.Event{Type: capture.Answered, Time: ago(time.Minute), Call: 1, Answer: unknown, RetryAt: testNow.Add(time.Minute)}
	withdrawn := capture.Event{Type: capture.Withdrawn, Time: ago(30 * time.Second), By: "ann", Note: "returned"}
	paidNotice := capture.Event{Type: capture.Notified, Time: ago(10 * time.Second), Notification: &capture.Notification{State: capture.OrderPaid}}
	late := story()
	late[0].Job.AuthorizedAt = ago(31 * 24 * time.Hour)
	for name, c := range map[string]struct {
		events           []capture.Event
		state, why, then string
	}{
		"under way": {running, "open: 24.99 EUR, no outcome since 2026-11-02 11:58:00 UTC", "capture call 1 is under way",
			"its answer, or an Order Query after 2026-11-02 12:01:00 UTC; it can be captured until 2026-12-01 12:00:00 UTC"},
		"no answer": {story(), "open: 24.99 EUR", "ended without an answer", "asks Order Query now"},
		"answered":  {story(answered), "open: 24.99 EUR", "settled nothing", "asked again from 2026-11-02 12:01:00 UTC on; it can"},
		"too late":  {late, "open: 24.99 EUR", "without an answer", "no capture call is made any more since 2026-11-01 12:00:00 UTC"},
		"captured":  {story(ended(capture.Captured, "")), "captured: 24.99 EUR, 2026-11-02 11:59:30 UTC", "", ""},
		"corrected": {story(ended(capture.Failed, "declined"), capture.Event{Type: capture.Captured, Time: ago(0), Amount: "24.99", Currency: "EUR", Corrects: "E1"}),
			"captured: 24.99 EUR, 2026-11-02 12:00:00 UTC; this corrects an earlier outcome", "", ""},
		"failed":   {story(ended(capture.Failed, capture.ReasonAmountExceeded)), "failed (amount_exceeded): 24.99 EUR, 2026-11-02 11:59:30 UTC", "", "no money was taken; publish a job with an amount within"},
		"expired":  {story(ended(capture.Failed, "expired")), "failed (expired)", "", "has to authorize the payment again"},
		"parked":   {story(ended(capture.Parked, capture.ReasonUnresolved)), "parked (unresolved): 24.99 EUR, 2026-11-02", "", "`capture-worker parked release T-1 --reason '…'`"},
		"mismatch": {story(ended(capture.Parked, capture.ReasonAmountMismatch)), "parked (amount_mismatch)", "", "by hand, then `capture-worker parked dismiss T-1"},
		"dismissed": {story(ended(capture.Parked, capture.ReasonRefunded), capture.Event{Type: capture.Dismissed, Time: ago(0), By: "ann", Note: "settled"}),
			"; an operator has closed the case", "", "nothing: ann closed it, 2026-11-02 12:00:00 UTC: settled"},
		"withdrawn": {story(answered, withdrawn), "open: 24.99 EUR", "its job is withdrawn by ann: returned", "Order Query is asked again from 2026-11-02 12:01:00 UTC on"},
		"withdrawn before its job": {[]capture.Event{withdrawn}, "withdrawn since 2026-11-02 11:59:30 UTC, not captured", "its job is withdrawn by ann: returned",
			"no job has named it; one that does is acknowledged without a capture call"},
		"withdrawn in time": {story(capture.Event{Type: capture.Withdrawn, Time: ago(time.Second), By: "ann", Note: "returned"}, ended(capture.Failed, capture.ReasonWithdrawn)), "failed (withdrawn): 24.99 EUR", "before any capture call",
			"only `capture-worker retry T-1 --reason '…'` reopens it"},
		"retried": {story(ended(capture.Failed, capture.ReasonTradeIncorrect), capture.Event{Type: capture.Retried, Time: ago(0), By: "ann", Note: "right account now"}),
			"open: 24.99 EUR", "ann sent it back to the workers: right account now", "the worker that takes its job asks Order Query;"},
		"wrong account": {story(ended(capture.Failed, capture.ReasonTradeIncorrect)), "failed (trade_incorrect)", "", "`capture-worker retry T-1 --reason '…'`"},
		"failed, notified": {story(ended(capture.Failed, capture.ReasonTradeIncorrect), paidNotice), "failed (trade_incorrect): 24.99 EUR, 2026-11-02 11:59:30 UTC; a notification says paid", "",
			"Order Query is asked until it says paid too; if it does not, the trade is parked from 2026-11-02 12:59:50 UTC on"},
		"notified paid": {story(ended(capture.Parked, capture.ReasonNotifiedPaid)), "parked (notified_paid)", "", "ask the gateway's support"},
		"unreadable":    {story(ended(capture.Parked, capture.ReasonAmountUnreadable)), "parked (amount_unreadable)", "", "`capture-worker parked dismiss T-1"},
		"fields":        {story(ended(capture.Parked, capture.ReasonRequestRefused)), "parked (request_refused)", "", "`capture-worker parked release T-1"},
		"released": {story(answered, ended(capture.Parked, capture.ReasonUnresolved), capture.Event{Type: capture.Released, Time: ago(0), By: "ann", Note: "it is back"}),
			"open: 24.99 EUR, no outcome since 2026-11-02 12:00:00 UTC", "ann sent it back to the workers: it is back", "the worker that takes its job asks Order Query;"},
	} {
		h := Summarize(c.events, capture.Fold(c.events), testNow, capture.Policy{})
		if !strings.Contains(h.State, c.state) || !strings.Contains(h.Why, c.why) || !strings.Contains(h.Next, c.then) || (c.then == "" && h.Next != "") {
			t.Errorf("%s:\n%s\n%s\n%s", name, h.State, h.Why, h.Next)
		}
	}
}

// released is a trade that was parked, sent back and found authorized, and what
// follows.
func released(more ...capture.Event) []capture.Event {
	parked := ended(capture.Parked, capture.ReasonUnresolved)
	parked.Time = ago(time.Minute)
	back := capture.Event{Type: capture.Released, Time: ago(50 * time.Second), By: "ann", Note: "it is back"}
	return story(append([]capture.Event{parked, back, authorized(ago(45 * time.Second))}, more...)...)
}

func authorized(at time.Time) capture.Event {
	whole, err := capture.ReadAmount("24.99", "EUR")
	if err != nil {
		panic(err)
	}
	order := &capture.Order{TradeID: "T-1", State: capture.OrderAuthorized, Amount: whole}
	return capture.Event{Type: capture.Queried, Time: at, Via: capture.ViaQuery, Answer: &capture.Answer{Kind: capture.AnswerDone, Order: order}}
}

// The summary of an open trade names its last call and the next decision.
func TestSummaryNamesTheNextStep(t *testing.T) {
	t.Parallel()
	internal := &capture.Answer{Kind: capture.AnswerUnknown, Code: capture.CodeInternal}
	answered := func(call int, at time.Time) capture.Event {
		return capture.Event{Type: capture.Answered, Time: at, Call: call, Answer: internal, RetryAt: testNow.Add(time.Minute)}
	}
	second := capture.Event{Type: capture.Attempted, Time: ago(40 * time.Second), Call: 2, Attempt: 1, RequestID: "R", LeaseUntil: ago(10 * time.Second)}
	cleared := authorized(ago(20 * time.Second))
	cleared.RetryAt = testNow.Add(time.Minute)
	unknown := func(at time.Time) capture.Event {
		return capture.Event{Type: capture.Queried, Time: at, Via: capture.ViaQuery, Answer: internal, RetryAt: ago(0)}
	}
	old := story(unknown(ago(5*time.Second)), unknown(ago(2*time.Second)))
	old[0].Time, old[0].LeaseUntil, old[0].Job.AuthorizedAt = ago(80*time.Hour), ago(80*time.Hour), time.Time{}
	old[1].Time = ago(time.Minute)
	for name, c := range map[string]struct {
		events    []capture.Event
		why, then string
	}{
		"released":            {released()[:3], "ann sent it back to the workers: it is back", "the worker that takes its job asks Order Query; it can"},
		"released, and asked": {released(), "ann sent it back", "the worker that has its job asks Order Query now; if"},
		"released, call lost": {released(second), "capture call 2 ended without an answer", "the worker that has its job asks Order Query now; if"},
		"released, answered":  {released(second, answered(2, ago(30*time.Second))), "the answer to capture call 2 settled nothing", "Order Query is asked again from 2026-11-02 12:01:00 UTC on; it can"},
		"cleared": {story(answered(1, ago(30*time.Second)), cleared), "the answer to capture call 1 settled nothing",
			"the worker that has its job makes capture call 2 now: Order Query says authorized; if"},
		"gave up": {old, "capture call 1 ended without an answer", "the worker that has its job records parked (unresolved) now; if"},
	} {
		h := Summarize(c.events, capture.Fold(c.events), testNow, capture.Policy{})
		if !strings.HasPrefix(h.Why, c.why) || !strings.HasPrefix(h.Next, c.then) {
			t.Errorf("%s:\n%s\n%s\n%s", name, h.State, h.Why, h.Next)
		}
	}
}

// The timeline shows when a trade was paid and when we learned of it; the
// gateway's ids and sums come from any answer that has them.
func TestTimelineShowsWhenItWasPaid(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for name, tt := range map[string]struct {
		paid time.Time
		want string
	}{
		"today":      {ago(4 * time.Minute), "paid at the gateway 11:56:00, learned 11:59:30"},
		"before":     {ago(day), "paid at the gateway 2026-11-01 12:00:00, learned 2026-11-02 11:59:30"},
		"not said":   {time.Time{}, ""},
		"not a time": {time.Unix(-5, 0), ""},
	} {
		end := ended(capture.Captured, "")
		end.Via, end.Answer = capture.ViaCapture, &capture.Answer{Kind: capture.AnswerDone, Order: &capture.Order{
			State: capture.OrderPaid, OrderID: "G-1", SettlementAmount: "26.90", SettlementCurrency: "USD", ExchangeRate: "1.0764",
		}}
		notice := capture.Event{Type: capture.Notified, Time: ago(40 * time.Second), Notification: &capture.Notification{
			State: capture.OrderPaid, TransactionID: "X-9", PaidTime: strconv.FormatInt(tt.paid.Unix(), 10),
		}}
		var out bytes.Buffer
		if err := (Trade{TradeID: "T-1", Events: story(notice, end)}).WriteText(&out); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{tt.want, "gateway order G-1, transaction X-9, settlement 26.90 USD, rate 1.0764"} {
			if !strings.Contains(out.String(), want) || tt.want == "" && strings.Contains(out.String(), "learned") {
				t.Errorf("%s: %q is missing:\n%s", name, want, out.String())
			}
		}
	}
}

// The next query is that of capture.Decide, not of the backoff: queries that have
// to agree are sent when the settle time and the spacing end.
func TestTimelineShowsTheNextQuery(t *testing.T) {
	t.Parallel()
	lost := &capture.Answer{Kind: capture.AnswerUnknown, Why: "no answer"}
	asked := func(after, retry time.Duration) capture.Event {
		e := authorized(ago(2*time.Minute - after))
		e.RetryAt = e.Time.Add(retry)
		return e
	}
	events := story(
		capture.Event{Type: capture.Answered, Time: ago(110 * time.Second), Via: capture.ViaCapture, Call: 1, Answer: lost, RetryAt: ago(109 * time.Second)},
		asked(11*time.Second, time.Minute),   // the settle time comes before the backoff
		asked(55*time.Second, 5*time.Minute), // it is over, and one more has to agree
		asked(60*time.Second, 9*time.Minute), // it does: the next call follows at once
		capture.Event{Type: capture.Captured, Time: ago(time.Second), Amount: "24.99", Currency: "EUR"},
	)
	var out bytes.Buffer
	if err := (Trade{TradeID: "T-1", Events: events}).WriteText(&out); err != nil {
		t.Fatal(err)
	}
	var again []string
	for line := range strings.Lines(out.String()) {
		if _, when, ok := strings.Cut(line, "again from "); ok {
			again = append(again, when[:len("15:04:05")])
		}
	}
	if want := "[11:58:11 11:58:55 11:59:00]"; fmt.Sprint(again) != want {
		t.Errorf("asked again from %v, want %s:\n%s", again, want, out.String())
	}
}

// A trade with only events of a newer program has a history too.
func TestTimelineOfUnknownEvents(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	trade := Trade{TradeID: "T-1", Events: []capture.Event{{ID: "E1", Type: "weighed", TradeID: "T-1", Time: testNow, Worker: "w"}}}
	if err := trade.WriteText(&out); err != nil || !strings.Contains(out.String(), "state  open, no outcome yet\n") {
		t.Errorf("%v:\n%s", err, out.String())
	}
}
