package export

import (
	"cmp"
	"strconv"
	"time"
)

// column is a column of the rows. Name and meaning of a column never change; new
// ones are added at the end.
type column struct {
	name  string
	doc   string
	value func(*Row) string
	// number means that the value is a plain decimal, which spreadsheets add up.
	number bool
}

// columns are those of every export. docs/books.md has the same table.
var columns = []column{
	{name: "outcome", doc: "`captured`, `failed` (no money moved) or `parked` (an operator must look), as it stands",
		value: func(r *Row) string { return string(r.Phase) }},
	{name: "day", doc: "the day that the trade belongs to, in the time zone of the export",
		value: func(r *Row) string { return r.At.Format(time.DateOnly) }},
	{name: "at", doc: "the time that gives the day", value: func(r *Row) string { return stamp(r.At, r) }},
	{name: "at_is", doc: "which time that is: `paid` (the gateway's paid time) or `learned` (when the outcome was written)",
		value: func(r *Row) string { return string(r.AtIs) }},
	{name: "trade_id", doc: "the gateway's trade, as the job spells it", value: func(r *Row) string { return r.TradeID }},
	{name: "order_id", doc: "the shop's order", value: func(r *Row) string { return r.OrderID }},
	{name: "amount", doc: "of `captured` the money taken, else the money asked", number: true,
		value: func(r *Row) string { return r.sum().Number() }},
	{name: "currency", doc: "of `amount`, ISO 4217", value: func(r *Row) string { return r.sum().Currency() }},
	{name: "settlement_amount", doc: "what the gateway settles, empty if it did not say or it cannot be read", number: true,
		value: func(r *Row) string { return r.settled().Number() }},
	{name: "settlement_currency", doc: "of the settlement, as the gateway sent it", value: func(r *Row) string { return r.SettlementCurrency }},
	{name: "settlement_text", doc: "the settlement amount as the gateway sent it, if it cannot be read",
		value: func(r *Row) string {
			if r.settled().IsZero() {
				return r.SettlementAmount
			}
			return ""
		}},
	{name: "exchange_rate", doc: "as the gateway sent it", value: func(r *Row) string { return r.ExchangeRate }},
	{name: "paid_at", doc: "the gateway's paid time, empty if the gateway did not report it", value: func(r *Row) string { return stamp(r.PaidAt, r) }},
	{name: "learned_at", doc: "when the outcome was written to the ledger", value: func(r *Row) string { return stamp(r.LearnedAt, r) }},
	{name: "reason", doc: "why `failed` or `parked`", value: func(r *Row) string { return r.Reason }},
	{name: "case", doc: "what is not settled: `parked` (waits for an operator) or `contradicted` (failed, and a notification says paid)",
		value: func(r *Row) string { return r.Case }},
	{name: "request_id", doc: "the last one sent to the gateway", value: func(r *Row) string { return r.RequestID }},
	{name: "response_id", doc: "the gateway's name of its answer", value: func(r *Row) string { return r.ResponseID }},
	{name: "transaction_id", doc: "the gateway's transaction", value: func(r *Row) string { return r.TransactionID }},
	{name: "gateway_order_id", doc: "the gateway's order", value: func(r *Row) string { return r.GatewayOrder }},
	{name: "worker", doc: "the worker that wrote the outcome", value: func(r *Row) string { return r.Worker }},
	{name: "event_id", doc: "the outcome's event in the ledger", value: func(r *Row) string { return r.OutcomeID }},
	{name: "corrections", doc: "how many outcomes of the trade were corrected by later ones", number: true,
		value: func(r *Row) string { return strconv.Itoa(r.Corrections) }},
	{name: "corrects", doc: "the event of the outcome that this one corrects", value: func(r *Row) string { return r.Corrects }},
	{name: "corrected_outcome", doc: "what that outcome was: an earlier export may list the trade so",
		value: func(r *Row) string { return string(r.Corrected) }},
	{name: "corrected_at", doc: "when that outcome was written", value: func(r *Row) string { return stamp(r.CorrectedAt, r) }},
	{name: "flaws", doc: "events of the trade that are not as they should be: 0, or look at it with `show`", number: true,
		value: func(r *Row) string { return strconv.Itoa(r.Flaws) }},
}

// clearingColumns follow if there is a clearing report.
var clearingColumns = []column{
	{name: "cleared_amount", number: true, value: func(r *Row) string { return r.Cleared.Amount.Number() }},
	{name: "cleared_fee", number: true, value: func(r *Row) string { return r.Cleared.Fee.Number() }},
	{name: "cleared_currency", value: func(r *Row) string { return cmp.Or(r.Cleared.Amount, r.Cleared.Fee).Currency() }},
	{name: "cleared_reference", value: func(r *Row) string { return r.Cleared.Reference }},
}

// stamp is a time in the zone of the export, "" for none.
func stamp(t time.Time, r *Row) string {
	if t.IsZero() {
		return ""
	}
	return t.In(r.At.Location()).Format(time.RFC3339)
}

// totalColumns are those of the totals.
var totalColumns = []string{"day", "outcome", "what", "currency", "trades", "amount"}

func (t Total) cells() []string {
	return []string{t.Day, string(t.Outcome), t.What, t.Currency, strconv.FormatInt(t.Trades, 10), t.Amount}
}

// facts are what About says, name by name.
func (a About) facts() [][2]string {
	return [][2]string{
		{"first_day", a.Period.From.Format(time.DateOnly)},
		{"last_day", a.Period.To.AddDate(0, 0, -1).Format(time.DateOnly)},
		{"time_zone", a.Period.Zone.String()},
		{"by", string(a.By)},
		{"as_of_sequence", strconv.FormatUint(a.AsOf.Applied, 10)},
		{"as_of_time", orNone(a.AsOf.Stored)},
		{"covers_period", strconv.FormatBool(a.CoversPeriod())},
		{"ledger", a.AsOf.Stream},
		{"source", a.Source},
		{"made_at", a.Made.UTC().Format(time.RFC3339)},
		{"program", "capture-worker " + a.Version},
	}
}

func orNone(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
