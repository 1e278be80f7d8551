package export_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/internal/export"
	"github.com/capture-worker/capture-worker/internal/records"
)

// table is a CSV file by the names of its columns.
func table(t *testing.T, text []byte) (header []string, rows []map[string]string) {
	t.Helper()
	lines, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil || len(lines) == 0 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, cell := range line {
			row[lines[0][i]] = cell
		}
		rows = append(rows, row)
	}
	return lines[0], rows
}

func column(rows []map[string]string, name string) []string {
	var cells []string
	for _, row := range rows {
		cells = append(cells, row[name])
	}
	return cells
}

func exportCSV(t *testing.T, store *records.Store, o export.Options) (header []string, rows, totals []map[string]string) {
	t.Helper()
	var out, sums bytes.Buffer
	if _, err := export.Write(t.Context(), store, o, export.CSV, &out, &sums, ""); err != nil {
		t.Fatal(err)
	}
	header, rows = table(t, out.Bytes())
	_, totals = table(t, sums.Bytes())
	return header, rows, totals
}

// A month has the trades of its days in its time zone: by the gateway's paid
// time, or by the time at which we learned of it.
func TestAMonthHasItsTrades(t *testing.T) {
	store := filled(t, aMonth(t))
	_, paid, _ := exportCSV(t, store, options(t, records.ByPaid))
	_, learned, _ := exportCSV(t, store, options(t, records.ByLearned))
	want := []string{"T-first", "T-yen", "T-dinar", "T-late", "T-big", "T-failed", "T-parked"}
	if got := column(paid, "trade_id"); !slices.Equal(got, want) {
		t.Errorf("by paid time: %v", got)
	}
	want = []string{"T-first", "T-paid-before", "T-yen", "T-dinar", "T-late", "T-big", "T-failed", "T-parked"}
	if got := column(learned, "trade_id"); !slices.Equal(got, want) {
		t.Errorf("by learned time: %v", got)
	}
	if got := column(paid, "day"); got[1] != "2026-11-01" || column(learned, "day")[2] != "2026-11-02" {
		t.Errorf("days by paid time %v", got)
	}
	if got := column(paid, "at_is"); got[1] != "paid" || got[0] != "learned" {
		t.Errorf("which times: %v", got)
	}
}

// A row says what the ledger holds about a trade, with amounts as they are.
func TestARowSaysWhatTheLedgerHolds(t *testing.T) {
	_, rows, _ := exportCSV(t, filled(t, aMonth(t)), options(t, records.ByPaid))
	for i, want := range []map[string]string{
		{"outcome": "captured", "day": "2026-11-01", "at": "2026-11-01T00:30:00+01:00", "at_is": "learned", "order_id": "A-1", "amount": "24.99",
			"currency": "EUR", "settlement_amount": "195.23", "settlement_currency": "CNY", "settlement_text": "", "exchange_rate": "7.8123", "paid_at": "",
			"learned_at": "2026-11-01T00:30:00+01:00", "request_id": "req-T-first", "response_id": "resp-T-first", "transaction_id": "tx-T-first",
			"gateway_order_id": "G-T-first", "worker": "w1", "event_id": "T-first-2", "corrections": "0", "corrects": "", "flaws": "0", "reason": "", "case": ""},
		{"amount": "500", "currency": "JPY", "order_id": "'=cmd|' /C calc'!A0", "paid_at": "2026-11-01T23:30:00+01:00"},
		{"amount": "1.250", "currency": "KWD"},
		{"trade_id": "T-late", "corrections": "1", "corrects": "T-late-failed", "corrected_outcome": "failed", "corrected_at": "2026-10-30T13:00:00+01:00"},
		{"amount": "123456789012345.67", "settlement_amount": "", "settlement_text": "0"},
		{"outcome": "failed", "amount": "10.00", "reason": "declined", "worker": "w2", "settlement_amount": ""},
		{"outcome": "parked", "amount": "11.00", "reason": "unresolved", "case": "parked"},
	} {
		for name, value := range want {
			if rows[i][name] != value {
				t.Errorf("%s of row %d is %q, want %q", name, i, rows[i][name], value)
			}
		}
	}
}

// Totals are for the period and for each day, and each of their lines says what
// the export is.
func TestTotals(t *testing.T) {
	_, _, totals := exportCSV(t, filled(t, aMonth(t)), options(t, records.ByPaid))
	var got []string
	for _, row := range totals {
		got = append(got, strings.Join([]string{row["day"], row["outcome"], row["what"], row["currency"], row["trades"], row["amount"]}, " "))
	}
	want := []string{
		" captured amount EUR 3 123456789012382.66", " captured amount JPY 1 500", " captured amount KWD 1 1.250",
		" captured settlement  1 ", " captured settlement CNY 4 342.88", " failed amount EUR 1 10.00", " parked amount EUR 1 11.00",
		"2026-11-01 captured amount EUR 1 24.99", "2026-11-01 captured amount JPY 1 500", "2026-11-01 captured settlement CNY 2 219.33",
		"2026-11-02 captured amount KWD 1 1.250", "2026-11-02 captured settlement CNY 1 29.80", "2026-11-03 failed amount EUR 1 10.00",
		"2026-11-04 parked amount EUR 1 11.00", "2026-11-05 captured amount EUR 1 12.00", "2026-11-05 captured settlement CNY 1 93.75",
		"2026-11-30 captured amount EUR 1 123456789012345.67", "2026-11-30 captured settlement  1 ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("totals\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for name, value := range map[string]string{
		"first_day": "2026-11-01", "last_day": "2026-11-30", "time_zone": "Europe/Amsterdam", "by": "paid", "as_of_sequence": "21",
		"covers_period": "true", "ledger": "CAPTURES", "made_at": "2026-12-03T08:00:00Z", "program": "capture-worker test",
	} {
		if totals[0][name] != value {
			t.Errorf("%s is %q, want %q", name, totals[0][name], value)
		}
	}
}

// A period without trades says so, and that it may be too early.
func TestAnEmptyPeriod(t *testing.T) {
	store := filled(t, aMonth(t))
	o := options(t, records.ByPaid)
	var err error
	if o.Period, err = export.Days("2026-12-24", "2026-12-24", time.UTC); err != nil {
		t.Fatal(err)
	}
	_, rows, totals := exportCSV(t, store, o)
	if len(rows) != 0 || len(totals) != 3 || totals[0]["trades"] != "0" || totals[0]["covers_period"] != "false" || totals[0]["last_day"] != "2026-12-24" {
		t.Errorf("%v, %v", rows, totals)
	}
}

func TestPeriodsAreWholeDays(t *testing.T) {
	p, err := export.Days("2026-10-25", "2026-10-25", amsterdam) // summer time ends
	if err != nil || p.To.Sub(p.From) != 25*time.Hour {
		t.Errorf("%v, %v", p.To.Sub(p.From), err)
	}
	for _, bad := range [][2]string{{"2026-11-02", "2026-11-01"}, {"2026-11-02", ""}, {"yesterday", "2026-11-02"}, {"2025-01-01", "2026-11-01"}} {
		if _, err := export.Days(bad[0], bad[1], time.UTC); !errors.Is(err, export.ErrPeriod) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if _, err := export.Month("2026-13", time.UTC); !errors.Is(err, export.ErrPeriod) {
		t.Errorf("month 13: %v", err)
	}
}

// report is a clearing report.
type report map[string]export.Cleared

func (r report) Cleared(_ context.Context, trade records.Trade) (export.Cleared, bool, error) {
	line, ok := r[trade.TradeID]
	if trade.TradeID == "T-parked" {
		return line, false, errors.ErrUnsupported
	}
	return line, ok, nil
}

// With a clearing report every row has its columns, behind the others.
func TestAClearingReportAddsColumns(t *testing.T) {
	store := filled(t, aMonth(t))
	o := options(t, records.ByPaid)
	plain, _, _ := exportCSV(t, store, o)
	o.Clearing = report{"T-first": {Amount: amount(t, "24.49", "EUR"), Fee: amount(t, "0.50", "EUR"), Reference: "payout 7"}}
	if _, err := export.Write(t.Context(), store, o, export.CSV, new(bytes.Buffer), nil, ""); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a report that fails: %v", err)
	}
	var err error
	if o.Period, err = export.Days("2026-11-01", "2026-11-02", amsterdam); err != nil {
		t.Fatal(err)
	}
	header, rows, _ := exportCSV(t, store, o)
	if !slices.Equal(header[:len(plain)], plain) || len(header) != len(plain)+4 {
		t.Errorf("columns %v", header)
	}
	if r := rows[0]; r["cleared_amount"] != "24.49" || r["cleared_fee"] != "0.50" || r["cleared_currency"] != "EUR" || r["cleared_reference"] != "payout 7" || rows[1]["cleared_amount"] != "" {
		t.Errorf("%v", rows)
	}
}

// Files get their names when they are complete; a failure leaves what was there.
func TestFilesAreWholeOrUntouched(t *testing.T) {
	store := filled(t, aMonth(t))
	for _, format := range export.Formats() {
		dir := t.TempDir()
		path := filepath.Join(dir, "books."+string(format))
		if err := os.WriteFile(path, []byte("earlier"), 0o600); err != nil {
			t.Fatal(err)
		}
		o := options(t, records.ByPaid)
		o.Clearing = report{}
		if _, err := export.ToFiles(t.Context(), store, o, format, path); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", format, err)
		}
		if text, _ := os.ReadFile(path); string(text) != "earlier" || len(names(t, dir)) != 1 {
			t.Errorf("%s: after a failure the folder has %v, %q", format, names(t, dir), text)
		}
		if _, err := export.ToFiles(t.Context(), store, options(t, records.ByPaid), format, path); err != nil {
			t.Errorf("%s: %v", format, err)
		}
		want := []string{"books." + string(format)}
		if format != export.XLSX {
			want = append(want, "books.totals."+string(format))
		}
		slices.Sort(want)
		if got := names(t, dir); !slices.Equal(got, want) {
			t.Errorf("%s: the folder has %v", format, got)
		}
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}
