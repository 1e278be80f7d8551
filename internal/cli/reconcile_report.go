package cli

import (
	"encoding/csv"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/printable"
	"github.com/capture-worker/capture-worker/reconcile"
)

// summary counts findings and adds up their sums.
type summary struct {
	trades, corrected int
	counts            map[reconcile.Kind]int
	money             map[reconcile.Kind]*reconcile.Money
	differences       int
}

func (s *summary) add(r reconcileRow) {
	if s.counts == nil {
		s.counts, s.money = map[reconcile.Kind]int{}, map[reconcile.Kind]*reconcile.Money{}
	}
	s.trades++
	s.counts[r.Finding]++
	if s.money[r.Finding] == nil {
		s.money[r.Finding] = &reconcile.Money{}
	}
	s.money[r.Finding].Add(r.money())
	if r.Mended {
		s.corrected++
	}
	if r.Finding.Difference() {
		s.differences++
	}
}

// open returns the number of differences that need an operator.
func (s *summary) open() int { return s.differences - s.corrected }

// money returns the sum of a row. If all agree, that is the captured sum, none for
// a failed trade. For a difference it is the expected sum, else the requested or
// captured one in our ledger, else the gateway's.
func (r reconcileRow) money() capture.Amount {
	if r.Finding == reconcile.KindAgreed {
		return r.captured()
	}
	for _, a := range []capture.Amount{r.Expected, r.LedgerAmount, r.GatewayAmount} {
		if !a.IsZero() {
			return a
		}
	}
	return capture.Amount{}
}

// captured returns the captured sum according to our ledger.
func (r reconcileRow) captured() capture.Amount {
	if r.Ledger != string(capture.Captured) {
		return capture.Amount{}
	}
	return r.LedgerAmount
}

// line returns the summary in one line, for a log.
func (s *summary) line() string {
	parts := []string{}
	for _, k := range reconcile.Kinds() {
		if s.counts[k] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s%s", s.counts[k], k, s.moneyText(k, " (", ")")))
		}
	}
	if len(parts) == 0 {
		return "reconcile: no trades to compare"
	}
	if s.corrected > 0 {
		parts = append(parts, fmt.Sprintf("%d of them corrected", s.corrected))
	}
	return fmt.Sprintf("reconcile: %s: %s", counted(s.trades, "trade"), strings.Join(parts, ", "))
}

func (s *summary) moneyText(k reconcile.Kind, before, after string) string {
	var sums []string
	for _, sum := range s.money[k].Sums() {
		sums = append(sums, sum.Amount+" "+sum.Currency)
	}
	if len(sums) == 0 {
		return ""
	}
	return before + strings.Join(sums, ", ") + after
}

// report prints the rows in the order of the input, and the summary.
func (r *reconciling) report() (*summary, error) {
	found := &summary{}
	if err := r.journal.each(func(row reconcileRow) error { found.add(row); return nil }); err != nil {
		return nil, err
	}
	out, log := r.cmd.OutOrStdout(), r.cmd.ErrOrStderr()
	if r.quiet && found.open() == 0 && r.output == "table" {
		if found.corrected > 0 {
			fmt.Fprintln(log, found.line())
		}
		return found, nil
	}
	var err error
	switch r.output {
	case "csv":
		err = r.printCSV(out)
	case "json":
		err = r.printJSON(out, found)
	default:
		err = r.printTable(out, found)
	}
	if r.output != "table" && !(r.quiet && found.open() == 0) || r.quiet {
		fmt.Fprintln(log, found.line())
	}
	return found, err
}

func (r *reconciling) printTable(w io.Writer, found *summary) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	n := 0
	err := r.journal.each(func(row reconcileRow) error {
		if !row.Finding.Difference() && !r.verbose {
			return nil
		}
		if n++; n == 1 {
			fmt.Fprintln(t, "TRADE\tORDER\tFINDING\tEXPECTED\tLEDGER\tGATEWAY\tWHY")
		}
		_, err := fmt.Fprint(t, printable.Row(row.TradeID, orDash(row.OrderID), row.Finding, amountOrDash(row.Expected),
			stateText(row.Ledger, row.LedgerAmount), stateText(row.Gateway, row.GatewayAmount), row.Why))
		return err
	})
	if err != nil {
		return err
	}
	if n > 0 && !r.quiet {
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil || r.quiet {
		return err
	}
	if found.trades == 0 {
		_, err := fmt.Fprintln(w, "no trades to compare")
		return err
	}
	t = tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, k := range reconcile.Kinds() {
		if found.counts[k] > 0 {
			fmt.Fprintf(t, "%s\t%d\t%s\n", k, found.counts[k], found.moneyText(k, "", ""))
		}
	}
	if found.corrected > 0 {
		fmt.Fprintf(t, "corrected\t%d\t\n", found.corrected)
	}
	return t.Flush()
}

func amountOrDash(a capture.Amount) string {
	if a.IsZero() {
		return "-"
	}
	return a.String()
}

func stateText(state string, a capture.Amount) string {
	if state == "" || a.IsZero() {
		return orDash(state)
	}
	return state + " " + a.String()
}

// reconcileColumns lists the columns of the CSV. New ones are added at the end.
var reconcileColumns = []string{
	"trade_id", "order_id", "finding", "expected", "expected_currency", "ledger", "ledger_amount", "ledger_currency",
	"gateway", "gateway_amount", "gateway_currency", "capture_before", "written", "why",
}

func (r *reconciling) printCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	_ = out.Write(reconcileColumns) // csv keeps the error
	err := r.journal.each(func(row reconcileRow) error {
		written, deadline := "no", ""
		if row.Written {
			written = "yes"
		}
		if !row.CaptureBefore.IsZero() {
			deadline = row.CaptureBefore.UTC().Format(time.RFC3339)
		}
		return out.Write(safeCells(row.TradeID, row.OrderID, string(row.Finding), row.Expected.Number(), row.Expected.Currency(),
			row.Ledger, row.LedgerAmount.Number(), row.LedgerAmount.Currency(),
			row.Gateway, row.GatewayAmount.Number(), row.GatewayAmount.Currency(), deadline, written, row.Why))
	})
	if err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

// printJSON writes one object: the rows, then the summary.
func (r *reconciling) printJSON(w io.Writer, found *summary) error {
	enc := jsonLines(w)
	comma := ""
	fmt.Fprintln(w, `{"rows":[`)
	err := r.journal.each(func(row reconcileRow) error {
		fmt.Fprint(w, comma)
		comma = ","
		return enc.Encode(row)
	})
	if err != nil {
		return err
	}
	type kindSum struct {
		Finding reconcile.Kind  `json:"finding"`
		Trades  int             `json:"trades"`
		Money   []reconcile.Sum `json:"money"`
	}
	sums := []kindSum{}
	for _, k := range reconcile.Kinds() {
		if found.counts[k] > 0 {
			sums = append(sums, kindSum{k, found.counts[k], found.money[k].Sums()})
		}
	}
	fmt.Fprintln(w, `],"summary":`)
	if err := enc.Encode(sums); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, `,"trades":%d,"differences":%d,"corrected":%d}`+"\n", found.trades, found.differences, found.corrected)
	return err
}
