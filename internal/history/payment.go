package history

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// withFacts completes the gateway's order in a captured event from the other
// events of its trade: the answer that proved the capture may lack members.
func withFacts(e capture.Event, events []capture.Event) capture.Event {
	if e.Type != capture.Captured || e.Answer == nil || e.Answer.Order == nil {
		return e
	}
	answer, order := *e.Answer, *e.Answer.Order
	for _, other := range events {
		if a := other.Answer; a != nil && a.Order != nil {
			order.OrderID = cmp.Or(order.OrderID, a.Order.OrderID)
			order.TransactionID = cmp.Or(order.TransactionID, a.Order.TransactionID)
			order.SettlementAmount = cmp.Or(order.SettlementAmount, a.Order.SettlementAmount)
			order.SettlementCurrency = cmp.Or(order.SettlementCurrency, a.Order.SettlementCurrency)
			order.ExchangeRate = cmp.Or(order.ExchangeRate, a.Order.ExchangeRate)
			order.PaidTime = cmp.Or(order.PaidTime, a.Order.PaidTime)
		}
		if n := other.Notification; n.SaysPaid() {
			order.OrderID = cmp.Or(order.OrderID, n.OrderID)
			order.TransactionID = cmp.Or(order.TransactionID, n.TransactionID)
			order.PaidTime = cmp.Or(order.PaidTime, n.PaidTime)
		}
	}
	answer.Order = &order
	e.Answer = &answer
	return e
}

func notifiedAmount(n capture.Notification) string {
	if n.Amount.IsZero() && n.AmountText != "" {
		return fmt.Sprintf("%q", n.AmountText)
	}
	return n.Amount.String()
}

// paidText returns when the money of a captured trade was taken, if the gateway
// said so, and when we learned of it.
func paidText(e capture.Event) string {
	if e.Type != capture.Captured || e.Answer == nil || e.Answer.Order == nil {
		return ""
	}
	paid := capture.UnixSeconds(e.Answer.Order.PaidTime)
	if paid.IsZero() {
		return ""
	}
	layout := time.TimeOnly
	if learned := e.Time.UTC(); learned.YearDay() != paid.YearDay() || learned.Year() != paid.Year() {
		layout = time.DateTime
	}
	return "paid at the gateway " + paid.Format(layout) + ", learned " + e.Time.UTC().Format(layout)
}

// identities returns the gateway's ids and sums of a capture, for its support and
// for bookkeeping.
func identities(e capture.Event) string {
	if e.Type != capture.Captured || e.Answer == nil || e.Answer.Order == nil {
		return ""
	}
	o := e.Answer.Order
	var parts []string
	for _, p := range []struct{ name, value string }{
		{"gateway order", o.OrderID}, {"transaction", o.TransactionID},
		{"settlement", strings.TrimSpace(o.SettlementAmount + " " + o.SettlementCurrency)}, {"rate", o.ExchangeRate},
	} {
		if p.value != "" {
			parts = append(parts, p.name+" "+p.value)
		}
	}
	return strings.Join(parts, ", ")
}
