package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
)

const showTime = "2006-01-02 15:04:05.000"

// printTimeline tells a trade's story: first what stands and why, then every
// event in order.
func printTimeline(w io.Writer, t ledger.Trade) error {
	s := t.State()
	fmt.Fprintf(w, "trade  %s\n", t.ID)
	if orders := ordersOf(t.Events); len(orders) > 0 {
		fmt.Fprintf(w, "order  %s\n", strings.Join(orders, ", "))
	}
	if s.Job.TradeID != "" {
		fmt.Fprintf(w, "asked  %s\n", s.Job.Amount)
	}
	fmt.Fprintf(w, "state  %s\n\n", standing(s))
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "TIME (UTC)\tEVENT\tWHAT\tRULE\tBY")
	for _, e := range t.Events {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", e.Time.UTC().Format(showTime), e.Type, describe(e), e.Rule, writer(e))
	}
	return table.Flush()
}

// standing says where the trade stands, in a sentence.
func standing(s capture.State) string {
	if s.Outcome == nil {
		next := ""
		if !s.RetryAt.IsZero() {
			next = "; looked at again from " + s.RetryAt.UTC().Format(showTime) + " UTC on"
		}
		return fmt.Sprintf("open (%s): no outcome yet%s", s.Phase, next)
	}
	o := s.Outcome
	words := string(o.Type)
	if o.Reason != "" {
		words += " (" + o.Reason + ")"
	}
	if o.Type == capture.Captured {
		words += ": " + o.Sum().String()
	}
	words += ", because " + evidence(*o)
	if s.Dismissed {
		words += "; a person has closed the case"
	}
	return words
}

// evidence says what an outcome rests on.
func evidence(e capture.Event) string {
	switch {
	case e.Answer == nil && e.By != "":
		return "of " + e.By + ": " + e.Note
	case e.Answer == nil:
		return "the truth could not be learned in time"
	case e.Via == capture.ViaCapture:
		return "the gateway answered the capture call: " + tellAnswer(*e.Answer)
	}
	return "Order Query said: " + tellAnswer(*e.Answer)
}

func describe(e capture.Event) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	switch e.Type {
	case capture.Attempted:
		add("call %d announced, request_id %s", e.Call, e.RequestID)
		if e.Job != nil {
			add("for %s", e.Job.Amount)
		}
		add("over by %s", e.LeaseUntil.UTC().Format(time.TimeOnly))
	case capture.Captured, capture.Failed, capture.Parked:
		if e.Reason != "" {
			add("%s", e.Reason)
		}
		if sum := e.Sum(); !sum.IsZero() {
			add("%s", sum)
		}
		if e.Corrects != "" {
			add("corrects %s", e.Corrects)
		}
	case capture.Notified:
		if n := e.Notification; n != nil {
			add("the gateway reports %s %s", n.State, n.Amount)
		}
	}
	if e.Answer != nil {
		add("%s: %s", e.Via, tellAnswer(*e.Answer))
	}
	if e.Note != "" {
		add("%s", e.Note)
	}
	if !e.RetryAt.IsZero() {
		add("again from %s on", e.RetryAt.UTC().Format(time.TimeOnly))
	}
	return strings.Join(parts, "; ")
}

func tellAnswer(a capture.Answer) string {
	words := strings.ReplaceAll(string(a.Kind), "_", " ")
	if a.Order != nil && a.Order.State != "" {
		words += ", " + string(a.Order.State)
		if !a.Order.Amount.IsZero() {
			words += " " + a.Order.Amount.String()
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

func writer(e capture.Event) string {
	if e.By != "" {
		return e.By
	}
	return e.Worker
}
