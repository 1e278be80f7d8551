package history

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/printable"
)

// eventTime is the layout of the times of events.
const eventTime = "2006-01-02 15:04:05.000"

// WriteText writes the state of the trade, what that rests on and what comes next,
// the pending dead letters about it, and a table of the events.
func (t Trade) WriteText(w io.Writer) error {
	s := capture.Fold(t.Events)
	fmt.Fprintf(w, "trade  %s\n", printable.Line(t.TradeID))
	if orders := capture.Orders(t.Events); len(orders) > 0 {
		fmt.Fprintf(w, "order  %s\n", printable.Line(strings.Join(orders, ", ")))
	}
	if s.Job.TradeID != "" {
		asked := s.Job.Amount.String()
		if s.Job.CaptureID != "" {
			asked += ", capture_id " + s.Job.CaptureID
		}
		fmt.Fprintf(w, "asked  %s\n", asked)
	}
	h := Summarize(t.Events, s, time.Now(), t.policy)
	for _, line := range []struct{ name, text string }{{"state", h.State}, {"why", h.Why}, {"next", h.Next}} {
		if line.text != "" {
			fmt.Fprintf(w, "%-5s  %s\n", line.name, printable.Line(line.text))
		}
	}
	for i, d := range t.DeadLetters {
		if i == maxDeadLetters {
			fmt.Fprintf(w, "also   %d more: see `capture-worker dlq list --trade %s`\n", len(t.DeadLetters)-i, t.TradeID)
			break
		}
		fmt.Fprintf(w, "also   %s needs an operator: %s\n", printable.Line(d.name()), d.hint())
	}
	for _, p := range t.PassedOver[max(0, len(t.PassedOver)-maxPassedOver):] {
		fmt.Fprintf(w, "also   %s\n", p)
	}
	fmt.Fprintln(w)
	return t.writeEvents(w)
}

func (t Trade) writeEvents(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "TIME (UTC)\tEVENT\tWHAT\tRULE\tBY")
	if t.Earlier > 0 {
		fmt.Fprintf(table, "…\t%d earlier events\t\t\t\n", t.Earlier)
	}
	for i, l := range t.Lines() {
		if e := l.Event; i >= t.Earlier {
			fmt.Fprint(table, printable.Row(e.Time.UTC().Format(eventTime), e.Type, l.What, e.Rule, l.By))
		}
	}
	return table.Flush()
}

// nextQuery returns when the gateway is asked again after an event that leaves the
// trade open, if nothing else happens; the zero time is at once, or never. s is
// the state up to that event. The event's retry_at is not enough: while queries
// have to agree, the settle time and their spacing decide.
func nextQuery(s capture.State, e capture.Event, p capture.Policy) time.Time {
	if e.RetryAt.IsZero() {
		return time.Time{}
	}
	if step := capture.Decide(&s, &s.Job, e.Time, p); step.Do == capture.DoWait {
		return step.Until
	}
	return time.Time{}
}

// describe returns what happened, and when the gateway is asked again.
func describe(e capture.Event, again time.Time) string {
	parts := ownParts(e)
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if e.Answer != nil {
		add("%s: %s", e.Via, AnswerText(*e.Answer))
	}
	if e.Excused {
		add("not counted: the intake of jobs was paused")
	}
	if e.Type == capture.Retried && e.Job != nil && !e.Job.CaptureBefore.IsZero() {
		add("to be captured before %s", moment(e.Job.CaptureBefore))
	}
	if e.Note != "" {
		add("%s", e.Note)
	}
	if e.ApprovedBy != "" {
		add("approved by %s", e.ApprovedBy)
	}
	if !again.IsZero() {
		add("again from %s on", again.UTC().Format(time.TimeOnly))
	}
	return strings.Join(parts, "; ")
}

// ownParts describes the members of an event that depend on its type.
func ownParts(e capture.Event) (parts []string) {
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	switch e.Type {
	case capture.Attempted:
		add("call %d announced, request_id %s", e.Call, e.RequestID)
		if e.Job != nil {
			add("for %s", e.Job.Amount)
			if e.Job.CaptureID != "" {
				add("capture_id %s", e.Job.CaptureID)
			}
			if e.Job.Cleaned != "" {
				add("cleaned %s", strings.ReplaceAll(e.Job.Cleaned, ",", " and "))
			}
		}
		if e.Source != nil {
			add("%s", sourceText(*e.Source))
		}
		add("over by %s", e.LeaseUntil.UTC().Format(time.TimeOnly))
	case capture.Captured, capture.Failed, capture.Parked:
		if e.Reason != "" {
			add("%s", e.Reason)
		}
		if sum := e.Sum(); !sum.IsZero() {
			add("%s", sum)
		}
		if e.CaptureID != "" {
			add("capture_id %s", e.CaptureID)
		}
		if e.Corrects != "" {
			add("corrects %s", e.Corrects)
		}
		for _, text := range []string{paidText(e), identities(e)} {
			if text != "" {
				add("%s", text)
			}
		}
	case capture.Notified:
		if n := e.Notification; n != nil {
			add("the gateway reports %s %s", n.State, notifiedAmount(*n))
			if paid := capture.UnixSeconds(n.PaidTime); !paid.IsZero() {
				add("paid at the gateway %s", paid.Format(time.DateTime))
			}
		}
	}
	return parts
}

// sourceText returns which message asked for the capture, and who published it.
func sourceText(s capture.Source) string {
	text := fmt.Sprintf("job %d of %s", s.Sequence, s.Stream)
	if s.Publisher != "" {
		text += ", published by " + s.Publisher
	}
	if s.DLQSequence > 0 {
		text += fmt.Sprintf(" from dead letter %d of %s", s.DLQSequence, s.DLQStream)
	}
	return text
}

// AnswerText returns what an answer of the gateway said.
func AnswerText(a capture.Answer) string {
	words := strings.ReplaceAll(string(a.Kind), "_", " ")
	if a.Order != nil && a.Order.State != "" {
		words += ", " + string(a.Order.State)
		switch {
		case !a.Order.Amount.IsZero():
			words += " " + a.Order.Amount.String()
		case a.Order.AmountText != "":
			words += fmt.Sprintf(" %q", a.Order.AmountText)
		}
	}
	if a.Code != "" && a.Code != capture.CodeSuccess {
		words += ", code " + a.Code
	}
	for _, s := range []string{a.Why, a.Message} {
		if s != "" {
			words += ", " + s
		}
	}
	if a.ResponseID != "" {
		words += ", response " + a.ResponseID
	}
	if a.Latency > 0 {
		words += fmt.Sprintf(", after %s", a.Latency.Round(time.Millisecond))
	}
	return words
}

// writer returns the operator or the worker that wrote the event.
func writer(e capture.Event) string {
	if e.By != "" {
		return e.By
	}
	return e.Worker
}
