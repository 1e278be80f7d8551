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

// printTimeline tells a trade's story: first where it stands, why, and what
// comes next, then every event in order.
func printTimeline(w io.Writer, t ledger.Trade, p capture.Policy) error {
	s := t.State()
	fmt.Fprintf(w, "trade  %s\n", t.ID)
	if orders := ordersOf(t.Events); len(orders) > 0 {
		fmt.Fprintf(w, "order  %s\n", strings.Join(orders, ", "))
	}
	if s.Job.TradeID != "" {
		fmt.Fprintf(w, "asked  %s\n", s.Job.Amount)
	}
	h := headlineOf(t.Events, s, time.Now(), p)
	for _, line := range []struct{ name, text string }{{"state", h.state}, {"why", h.why}, {"next", h.next}} {
		if line.text != "" {
			fmt.Fprintf(w, "%-5s  %s\n", line.name, line.text)
		}
	}
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "TIME (UTC)\tEVENT\tWHAT\tRULE\tBY")
	for _, e := range t.Events {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", e.Time.UTC().Format(showTime), e.Type, describe(e), e.Rule, writer(e))
	}
	return table.Flush()
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
