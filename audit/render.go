package audit

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
)

// WriteTable writes the report for a person. Errors are those of w.
func (r Report) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name string, n int) { fmt.Fprintf(t, "%s\t%d\n", name, n) }
	row("trades", r.Trades)
	row("captured", r.Captured)
	row("failed", r.Failed)
	byReason(t, r.FailedByReason)
	row("parked", r.Parked)
	byReason(t, r.ParkedByReason)
	row("unsettled", r.Unsettled)
	row("corrected later", r.Corrected)
	row("capture calls", r.Calls)
	row("  of them retries", r.Retries)
	row("order queries", r.Queries)
	for _, m := range r.Money {
		fmt.Fprintf(t, "money captured\t%s %s\tin %d %s\n", m.Amount, m.Currency, m.Trades, plural(m.Trades, "trade"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return r.writeViolations(w)
}

// byReason lists the most frequent first.
func byReason(w io.Writer, reasons map[string]int) {
	names := slices.SortedFunc(maps.Keys(reasons), func(a, b string) int {
		return cmp.Or(cmp.Compare(reasons[b], reasons[a]), cmp.Compare(a, b))
	})
	for _, name := range names {
		fmt.Fprintf(w, "  %s\t%d\n", name, reasons[name])
	}
}

func (r Report) writeViolations(w io.Writer) error {
	if r.Clean() {
		_, err := fmt.Fprintln(w, "audit: clean, every trade keeps the rules")
		return err
	}
	if _, err := fmt.Fprintf(w, "audit: %d %s\n", r.ViolationCount, plural(r.ViolationCount, "violation")); err != nil {
		return err
	}
	for _, v := range r.Violations {
		if _, err := fmt.Fprintln(w, "  "+v.String()); err != nil {
			return err
		}
	}
	if more := r.ViolationCount - len(r.Violations); more > 0 {
		_, err := fmt.Fprintf(w, "  and %d more\n", more)
		return err
	}
	return nil
}

func plural(n int, one string) string {
	if n == 1 {
		return one
	}
	return one + "s"
}
