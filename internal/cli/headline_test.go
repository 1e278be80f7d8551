package cli

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
)

var headlineNow = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return headlineNow.Add(-d) }

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

// Every phase says at a glance what stands, since when, and what comes next.
func TestHeadline(t *testing.T) {
	t.Parallel()
	running := story()
	running[0].LeaseUntil = headlineNow.Add(time.Minute)
	unknown := &capture.Answer{Kind: capture.AnswerUnknown, Code: capture.CodeInternal}
	answered := capture.Event{Type: capture.Answered, Time: ago(time.Minute), Call: 1, Answer: unknown, RetryAt: headlineNow.Add(time.Minute)}
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
			"captured: 24.99 EUR, 2026-11-02 12:00:00 UTC; this corrects what was said before", "", ""},
		"failed":   {story(ended(capture.Failed, capture.ReasonAmountExceeded)), "failed (amount_exceeded): 24.99 EUR, 2026-11-02 11:59:30 UTC", "", "no money was taken; publish a job with an amount within"},
		"expired":  {story(ended(capture.Failed, "expired")), "failed (expired)", "", "has to authorize the payment anew"},
		"parked":   {story(ended(capture.Parked, capture.ReasonUnresolved)), "parked (unresolved): 24.99 EUR, 2026-11-02", "", "`capture-worker parked release T-1 --reason '…'`"},
		"mismatch": {story(ended(capture.Parked, capture.ReasonAmountMismatch)), "parked (amount_mismatch)", "", "by hand, then `capture-worker parked dismiss T-1"},
		"dismissed": {story(ended(capture.Parked, capture.ReasonRefunded), capture.Event{Type: capture.Dismissed, Time: ago(0), By: "ann", Note: "settled"}),
			"; an operator has closed the case", "", "nothing: ann closed it, 2026-11-02 12:00:00 UTC: settled"},
		"withdrawn": {story(answered, withdrawn), "open: 24.99 EUR", "its job is withdrawn by ann: returned", "Order Query is asked again from 2026-11-02 12:01:00 UTC on"},
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
		h := headlineOf(c.events, capture.Fold(c.events), headlineNow, capture.Policy{})
		if !strings.Contains(h.state, c.state) || !strings.Contains(h.why, c.why) || !strings.Contains(h.next, c.then) || (c.then == "" && h.next != "") {
			t.Errorf("%s:\n%s\n%s\n%s", name, h.state, h.why, h.next)
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

// What is told of an open trade is the last call made for it, and what the
// decision says next.
func TestHeadlineTellsTheNextStep(t *testing.T) {
	t.Parallel()
	internal := &capture.Answer{Kind: capture.AnswerUnknown, Code: capture.CodeInternal}
	answered := func(call int, at time.Time) capture.Event {
		return capture.Event{Type: capture.Answered, Time: at, Call: call, Answer: internal, RetryAt: headlineNow.Add(time.Minute)}
	}
	second := capture.Event{Type: capture.Attempted, Time: ago(40 * time.Second), Call: 2, Attempt: 1, RequestID: "R", LeaseUntil: ago(10 * time.Second)}
	cleared := authorized(ago(20 * time.Second))
	cleared.RetryAt = headlineNow.Add(time.Minute)
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
			"the worker that has its job makes capture call 2 now, for Order Query says authorized; if"},
		"gave up": {old, "capture call 1 ended without an answer", "the worker that has its job writes parked (unresolved) now; if"},
	} {
		h := headlineOf(c.events, capture.Fold(c.events), headlineNow, capture.Policy{})
		if !strings.HasPrefix(h.why, c.why) || !strings.HasPrefix(h.next, c.then) {
			t.Errorf("%s:\n%s\n%s\n%s", name, h.state, h.why, h.next)
		}
	}
}

// When it was paid, and when we learned it, are two times; the gateway's own
// names and sums come from whatever answer had them.
func TestTimelineTellsWhenItWasPaid(t *testing.T) {
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
		if err := printTimeline(&out, ledger.Trade{ID: "T-1", Events: story(notice, end)}, nil, capture.Policy{}); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{tt.want, "gateway order G-1, transaction X-9, settlement 26.90 USD, rate 1.0764"} {
			if !strings.Contains(out.String(), want) || tt.want == "" && strings.Contains(out.String(), "learned") {
				t.Errorf("%s: %q is missing:\n%s", name, want, out.String())
			}
		}
	}
}

// When the gateway is asked again is what the decision says, not what the backoff
// would: queries that agree are asked when the settle time and the spacing end.
func TestTimelineTellsWhenItIsAskedAgain(t *testing.T) {
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
	if err := printTimeline(&out, ledger.Trade{ID: "T-1", Events: events}, nil, capture.Policy{}); err != nil {
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

// A trade of which only a newer program's events are known is told all the same.
func TestTimelineOfTheUnknown(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	trade := ledger.Trade{ID: "T-1", Events: []capture.Event{{ID: "E1", Type: "weighed", TradeID: "T-1", Time: headlineNow, Worker: "w"}}}
	if err := printTimeline(&out, trade, nil, capture.Policy{}); err != nil || !strings.Contains(out.String(), "state  open, no outcome yet\n") {
		t.Errorf("%v:\n%s", err, out.String())
	}
}

func TestCounted(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"1 query": counted(1, "query"), "2 queries": counted(int64(2), "query"), "0 jobs": counted(uint64(0), "job"), "1 trade": counted(1, "trade"),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
