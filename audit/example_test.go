package audit_test

import (
	"fmt"
	"time"

	"github.com/capture-worker/capture-worker/audit"
	"github.com/capture-worker/capture-worker/capture"
)

// exampleEvents are the events of a normal capture of trade T1.
func exampleEvents() []capture.Event {
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	amount, err := capture.ParseAmount("24.99", "EUR")
	if err != nil {
		panic(err)
	}
	job := capture.Job{TradeID: "T1", Amount: amount}
	paid := capture.Answer{Kind: capture.AnswerDone, Code: capture.CodeSuccess, Order: &capture.Order{TradeID: "T1", State: capture.OrderPaid, Amount: amount}}
	return []capture.Event{
		{
			ID: "e1", Type: capture.Attempted, TradeID: "T1", Time: at, Attempt: 1, Call: 1,
			RequestID: "ca51f2fas3i0f8uiw7efj6oe", Job: &job, LeaseUntil: at.Add(time.Minute),
		},
		{
			ID: "e2", Type: capture.Captured, TradeID: "T1", Time: at.Add(time.Second), Attempt: 1, Call: 1,
			RequestID: "ca51f2fas3i0f8uiw7efj6oe", Via: capture.ViaCapture, Answer: &paid, Amount: "24.99", Currency: "EUR",
		},
	}
}

// Events checks one trade against the rules.
func ExampleEvents() {
	events := exampleEvents()
	fmt.Println(len(audit.Events("T1", events, capture.Policy{})), "violations")

	events[0].RequestID = "too-short"
	for _, v := range audit.Events("T1", events, capture.Policy{}) {
		fmt.Println(v)
	}
	// Output:
	// 0 violations
	// trade T1: rule 4: request_id "too-short" is not at least 24 letters and digits (event e1)
}

// Compare checks the ledger against what the gateway did.
func ExampleCompare() {
	truth := audit.Truth{TradeID: "T1", State: capture.OrderAuthorized} // the gateway took no money
	for _, v := range audit.Compare(exampleEvents(), truth, nil) {
		fmt.Println(v.Rule, v.Detail)
	}
	// Output:
	// truth captured in the ledger, not at the gateway (authorized)
}

// A Collector adds up many trades.
func ExampleCollector() {
	collector := audit.NewCollector(capture.Policy{}, 100)
	collector.Add("T1", exampleEvents(), nil, nil)
	report := collector.Report()
	fmt.Println(report.Captured, "captured,", report.Money[0].Amount, report.Money[0].Currency, "clean:", report.Clean())
	// Output: 1 captured, 24.99 EUR clean: true
}
