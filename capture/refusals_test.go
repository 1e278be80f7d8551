package capture_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// steady is a gateway that answers every call alike, without end.
type steady struct{ call, query string }

var (
	steadyCalls = []string{capture.CodeFieldMissing, capture.CodeAmountExceeded, capture.CodeCurrencyMismatch,
		capture.CodeTradeID, capture.CodeWindowExceeded, "declined", capture.CodeRequestID, capture.CodeInternal, "-9999"}
	steadyQueries = []string{"authorized", "authorized, less", "authorized, USD", "no such trade", "declined", "expired",
		"pending", "paid", "paid, less", "refunded", "-9999", "no answer"}
)

func steadyQuery(t *testing.T, what string, job capture.Job) capture.Answer {
	dollars, err := capture.ParseAmount("30.00", "USD")
	if err != nil {
		t.Fatal(err)
	}
	switch what {
	case "authorized", "declined", "expired", "pending", "paid", "refunded":
		return orderAnswer(capture.OrderState(what), job.Amount)
	case "authorized, less":
		return orderAnswer(capture.OrderAuthorized, eurMust("10.00"))
	case "paid, less":
		return orderAnswer(capture.OrderPaid, eurMust("10.00"))
	case "authorized, USD":
		return orderAnswer(capture.OrderAuthorized, dollars)
	case "no such trade":
		return plainAnswer(capture.CodeTradeID)
	case "no answer":
		return plainAnswer("timeout")
	}
	return plainAnswer(what)
}

func steadyCall(what string, job capture.Job) capture.Answer {
	if what != "declined" {
		return plainAnswer(what)
	}
	a := orderAnswer(capture.OrderDeclined, job.Amount)
	a.Kind = capture.AnswerRefused
	return a
}

// end plays a trade against it until there is an outcome, and says which, when,
// and after how many calls. If doubt, the answer of an earlier call was lost,
// while Order Query still said authorized.
func (g steady) end(t *testing.T, doubt bool) (capture.Event, string) {
	b := newBook(t)
	job := jobOf(t, "30.00")
	job.AuthorizedAt = noon
	policy := capture.DefaultPolicy()
	if doubt {
		b.want(job, "first call")
		b.call("", "unsettled")
		for range 2 {
			b.now = b.now.Add(policy.Settle)
			b.learn(&job, sees(capture.OrderAuthorized, job.Amount), "seen")
		}
	}
	s := b.state()
	add := func(e *capture.Event) {
		if e == nil {
			return
		}
		if !e.Type.Outcome() { // the schedule doubles from 15 seconds to 15 minutes, as the worker's does
			e.RetryAt = b.now.Add(min(15*time.Second<<min(s.Queries, 10), 15*time.Minute))
		}
		s.Add(new(b.append(*e)))
	}
	for range 10_000 {
		if s.Outcome != nil {
			return *s.Outcome, fmt.Sprintf("%s, %s", plural(s.Call, "call"), roughly(b.now.Sub(noon)))
		}
		step := capture.Decide(&s, &job, b.now, policy)
		switch step.Do {
		case capture.DoWait:
			b.now = step.Until
		case capture.DoSettle:
			add(step.Event)
		case capture.DoAttempt:
			s.Add(new(b.append(*step.Event)))
			b.now = b.now.Add(time.Second)
			add(capture.Judge(&s, &job, capture.Finding{Via: capture.ViaCapture, Call: s.Call, Answer: steadyCall(g.call, job)}, b.now, policy))
		case capture.DoQuery:
			add(capture.Judge(&s, &job, capture.Finding{Via: capture.ViaQuery, Answer: steadyQuery(t, g.query, job)}, b.now, policy))
		default:
			t.Fatalf("%+v: %s before any outcome", g, step.Do)
		}
	}
	t.Fatalf("%+v (doubt %t) does not end", g, doubt)
	return capture.Event{}, ""
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

func roughly(d time.Duration) string {
	switch {
	case d < 3*time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < 3*time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d days", (d+12*time.Hour)/(24*time.Hour))
}

// TestEveryRefusalEnds walks every code of a capture call, against everything
// that Order Query may show, with and without an earlier call in doubt.
func TestEveryRefusalEnds(t *testing.T) {
	for _, call := range steadyCalls {
		for _, query := range steadyQueries {
			for _, doubt := range []bool{false, true} {
				e, _ := steady{call, query}.end(t, doubt)
				if why := unproved(e, call, query, doubt); why != "" {
					t.Errorf("call %s, query %s, doubt %t: %s %s %s", call, query, doubt, e.Type, e.Reason, why)
				}
			}
		}
	}
}

// unproved says why an outcome is wrong, by the text of the rules.
func unproved(e capture.Event, call, query string, doubt bool) string {
	dead := query == "declined" || query == "expired"
	switch e.Type {
	case capture.Captured:
		if query != "paid" {
			return "though it is not paid"
		}
		return ""
	case capture.Parked:
		if dead || query == "paid" {
			return "though Order Query is clear"
		}
		return ""
	}
	switch e.Reason {
	case capture.ReasonAmountExceeded:
		if call != capture.CodeAmountExceeded || query != "authorized, less" || doubt {
			return "is not explained"
		}
	case capture.ReasonCurrencyMismatch:
		if call != capture.CodeCurrencyMismatch || query != "authorized, USD" {
			return "is not explained"
		}
	case capture.ReasonTradeIncorrect:
		if query != "no such trade" || doubt || call == capture.CodeInternal || call == "-9999" {
			return "though a call is in doubt"
		}
	case capture.ReasonWindowExceeded:
		if query != "authorized" && query != "authorized, less" && query != "authorized, USD" {
			return "without a query that says authorized"
		}
	default:
		if !dead || e.Reason != query {
			return "is the word of no query"
		}
	}
	return ""
}

// refusalTable prints the ends, for docs/state-machine.md.
func refusalTable(t *testing.T) string {
	var b strings.Builder
	b.WriteString("\n## What every refusal ends as\n\nThe gateway answers every capture call with the code of the row and every Order Query with the word of the column, without end; the job asks for 30.00 EUR within 30 days, \"less\" is 10.00. Each cell says how the trade ends, after how many calls, how long after the first. With \"in doubt\" the answer of an earlier call was lost. This table is walked by a test, and printed from it.\n\n| capture call | in doubt |")
	for _, query := range steadyQueries {
		fmt.Fprintf(&b, " %s |", query)
	}
	b.WriteString("\n| --- | --- |" + strings.Repeat(" --- |", len(steadyQueries)) + "\n")
	for _, call := range steadyCalls {
		for i, doubt := range []string{"no", "yes"} {
			fmt.Fprintf(&b, "| %s | %s |", call, doubt)
			for _, query := range steadyQueries {
				e, how := steady{call, query}.end(t, i == 1)
				fmt.Fprintf(&b, " %s (%s) |", strings.TrimSpace(string(e.Type)+" "+e.Reason), how)
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}
