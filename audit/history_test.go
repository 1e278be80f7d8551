package audit_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/audit"
	"github.com/capture-worker/capture-worker/capture"
)

var (
	policy = capture.Policy{Settle: 45 * time.Second, Agree: 2, Spacing: 5 * time.Second, GiveUpAfter: 72 * time.Hour}
	noon   = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
)

func eur(s string) capture.Amount {
	a, err := capture.ParseAmount(s, "EUR")
	if err != nil {
		panic(err)
	}
	return a
}

func usd(s string) capture.Amount {
	a, err := capture.ParseAmount(s, "USD")
	if err != nil {
		panic(err)
	}
	return a
}

func asks(sum string) *capture.Job { return &capture.Job{TradeID: "T1", Amount: eur(sum)} }

// story writes a ledger by hand: each method is one event, a number of seconds
// after noon.
type story struct{ events []capture.Event }

func (s *story) add(sec float64, e capture.Event) *story {
	e.ID, e.TradeID, e.Worker = fmt.Sprintf("e%d", len(s.events)+1), "T1", "w"
	e.Time = noon.Add(time.Duration(sec * float64(time.Second)))
	if e.Type == capture.Attempted {
		e.LeaseUntil = e.Time.Add(40 * time.Second)
	}
	s.events = append(s.events, e)
	return s
}

// id is the request_id of attempt n.
func id(n int) string { return fmt.Sprintf("request%020d", n) }

func (s *story) intent(sec float64, attempt, call int, job *capture.Job) *story {
	return s.add(sec, capture.Event{Type: capture.Attempted, Attempt: attempt, Call: call, RequestID: id(attempt), Job: job})
}

func (s *story) answer(sec float64, call int, a capture.Answer) *story {
	return s.add(sec, capture.Event{Type: capture.Answered, Call: call, Via: capture.ViaCapture, Answer: &a})
}

func (s *story) query(sec float64, a capture.Answer) *story {
	return s.add(sec, capture.Event{Type: capture.Queried, Via: capture.ViaQuery, Answer: &a})
}

// end is an outcome of the 30.00 job, from a call (via "capture", call 1 or
// what change says) or a query.
func (s *story) end(sec float64, t capture.EventType, reason string, via capture.Via, a capture.Answer, change ...func(*capture.Event)) *story {
	e := capture.Event{Type: t, Reason: reason, Via: via, Answer: &a, Amount: "30.00", Currency: "EUR"}
	if via == capture.ViaCapture {
		e.Call = 1
	}
	for _, c := range change {
		c(&e)
	}
	return s.add(sec, e)
}

// change alters the last event.
func (s *story) change(f func(*capture.Event)) *story {
	f(&s.events[len(s.events)-1])
	return s
}

func sees(state capture.OrderState, sum string) capture.Answer {
	return capture.Answer{Kind: capture.AnswerDone, Code: "200", Order: &capture.Order{State: state, Amount: eur(sum)}}
}

func no(code string) capture.Answer {
	return capture.Answer{Kind: capture.AnswerRefused, Code: code}
}

var (
	open     = sees(capture.OrderAuthorized, "30.00")
	paid     = sees(capture.OrderPaid, "30.00")
	whole    = sees(capture.OrderAuthorized, "40.00") // of which 30.00 is a part
	less     = sees(capture.OrderAuthorized, "20.00")
	sumless  = capture.Answer{Kind: capture.AnswerDone, Code: "200", Order: &capture.Order{State: capture.OrderAuthorized}}
	declined = capture.Answer{Kind: capture.AnswerRefused, Code: "200", Order: &capture.Order{State: capture.OrderDeclined}}
	noTrade  = no(capture.CodeTradeID)
	odd      = capture.Answer{Kind: capture.AnswerUnknown, Code: "-9999"} // a code that the table does not have
	timeout  = capture.Answer{Kind: capture.AnswerUnknown, Why: "timeout"}
	errored  = capture.Answer{Kind: capture.AnswerUnknown, Code: capture.CodeInternal}
)

const day = 24 * time.Hour

// created is an authorized order whose authorization was made at an offset from
// noon.
func created(offset time.Duration) capture.Answer {
	a := sees(capture.OrderAuthorized, "30.00")
	a.Order.CreatedAt = strconv.FormatInt(noon.Add(offset).Unix(), 10)
	return a
}

func authorizedAt(offset time.Duration) *capture.Job {
	job := asks("30.00")
	job.AuthorizedAt = noon.Add(offset)
	return job
}

// before is the job of 30.00 with a deadline so long after noon.
func before(d time.Duration) *capture.Job {
	job := asks("30.00")
	job.CaptureBefore = noon.Add(d)
	return job
}

// excused marks the last event as one that came while the intake was paused.
func (s *story) excused() *story {
	return s.change(func(e *capture.Event) { e.Excused = true })
}

// says is a verified notification.
func (s *story) says(sec float64, state capture.OrderState) *story {
	return s.add(sec, capture.Event{Type: capture.Notified, Notification: &capture.Notification{Type: "payment", State: state}})
}

// operator adds an act of an operator.
func (s *story) operator(sec float64, t capture.EventType) *story {
	return s.add(sec, capture.Event{Type: t, By: "ann", Note: "asked the shop"})
}

func corrects(id string) func(*capture.Event) {
	return func(e *capture.Event) { e.Corrects = id }
}

func brings(job *capture.Job) func(*capture.Event) {
	return func(e *capture.Event) { e.Job, e.Amount = job, job.Amount.Number() }
}

func begun() *story { return new(story).intent(0, 1, 1, asks("30.00")) }

// lost is a first call that timed out at second 1, and that two queries after
// the settle time found authorized.
func lost() *story { return begun().answer(1, 1, timeout).query(46, open).query(51, open) }

// twin is a ledger that breaks a rule and one that differs in just that.
type twin struct {
	name   string
	rule   string
	broken *story
	mended *story
}

func runTwins(t *testing.T, twins []twin) {
	t.Helper()
	for _, w := range twins {
		t.Run(w.name, func(t *testing.T) {
			found := audit.Events("T1", w.broken.events, policy)
			if !slices.ContainsFunc(found, func(v audit.Violation) bool { return v.Rule == w.rule }) {
				t.Errorf("rule %s is broken, and only this was found: %v", w.rule, found)
			}
			for _, v := range audit.Events("T1", w.mended.events, policy) {
				t.Errorf("the corrected ledger is blamed: %s", v)
			}
		})
	}
}
