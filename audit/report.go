package audit

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"text/tabwriter"

	"github.com/bojanz/currency"

	"github.com/capture-worker/capture-worker/capture"
)

// Report is the sum over many trades.
type Report struct {
	Trades         int            `json:"trades"`
	Captured       int            `json:"captured"`
	Failed         int            `json:"failed"`
	Parked         int            `json:"parked"`
	Unsettled      int            `json:"unsettled"`
	FailedByReason map[string]int `json:"failed_by_reason"`
	ParkedByReason map[string]int `json:"parked_by_reason"`
	Money          []Sum          `json:"money"` // what was captured, by currency
	Calls          int            `json:"calls"` // capture calls announced
	Retries        int            `json:"retries"`
	Queries        int            `json:"queries"` // Order Queries in the ledger
	Corrected      int            `json:"corrected"`
	// Violations has the first violations; ViolationCount counts all.
	Violations     []Violation `json:"violations"`
	ViolationCount int         `json:"violation_count"`
}

// Sum is a sum of money in one currency.
type Sum struct {
	Currency string `json:"currency"`
	Amount   string `json:"amount"`
	Trades   int    `json:"trades"`
}

// Clean reports whether there are no violations. An unsettled trade is one only if it
// was compared with a truth.
func (r Report) Clean() bool { return r.ViolationCount == 0 }

// Collector checks trades one by one and adds them up. It keeps sums and a limited list
// of violations. The zero Collector uses the default policy and keeps no violations in
// full. A Collector is safe for concurrent use.
type Collector struct {
	policy capture.Policy
	keep   int

	mu     sync.Mutex
	report Report
	money  map[string]*money
}

type money struct {
	sum    currency.Amount
	trades int
}

// NewCollector returns a Collector that uses the policy, whose zero fields are those of
// capture.DefaultPolicy, and keeps at most keep violations in full.
func NewCollector(p capture.Policy, keep int) *Collector {
	return &Collector{policy: p, keep: keep}
}

// Add checks one trade, adds it up, and returns its violations. Events must be in ledger
// order. Without truth the ledger is only checked against the rules; job is an optional
// argument of [Compare].
func (c *Collector) Add(trade string, events []capture.Event, truth *Truth, job *capture.Job) []Violation {
	found := Events(trade, events, c.policy)
	if truth != nil {
		found = append(found, Compare(events, *truth, job)...)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.init()
	c.report.Trades++
	c.count(events)
	c.settle(Standing(events))
	c.report.ViolationCount += len(found)
	if room := c.keep - len(c.report.Violations); room > 0 {
		c.report.Violations = append(c.report.Violations, found[:min(room, len(found))]...)
	}
	return found
}

// init makes the maps and lists of the report. The caller holds mu.
func (c *Collector) init() {
	if c.money == nil {
		c.money = map[string]*money{}
		c.report.FailedByReason, c.report.ParkedByReason = map[string]int{}, map[string]int{}
		c.report.Violations = []Violation{}
	}
}

func (c *Collector) count(events []capture.Event) {
	calls := 0
	for _, e := range events {
		if e.Type == capture.Attempted {
			calls++
		}
		if e.Via == capture.ViaQuery {
			c.report.Queries++
		}
		if e.Corrects != "" {
			c.report.Corrected++
		}
	}
	c.report.Calls += calls
	c.report.Retries += max(0, calls-1)
}

func (c *Collector) settle(outcome *capture.Event) {
	if outcome == nil {
		c.report.Unsettled++
		return
	}
	switch outcome.Type {
	case capture.Captured:
		c.report.Captured++
		c.addMoney(outcome.Sum())
	case capture.Failed:
		c.report.Failed++
		c.report.FailedByReason[outcome.Reason]++
	case capture.Parked:
		c.report.Parked++
		c.report.ParkedByReason[outcome.Reason]++
	}
}

func (c *Collector) addMoney(a capture.Amount) {
	sum, err := currency.NewAmount(a.Number(), a.Currency())
	if err != nil {
		return // Events reports an unreadable amount as a violation of rule 6
	}
	m, ok := c.money[a.Currency()]
	if !ok {
		c.money[a.Currency()] = &money{sum: sum, trades: 1}
		return
	}
	if total, err := m.sum.Add(sum); err == nil {
		m.sum, m.trades = total, m.trades+1
	}
}

// Report returns a copy of the sums so far.
func (c *Collector) Report() Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.init()
	r := c.report
	r.FailedByReason = maps.Clone(r.FailedByReason)
	r.ParkedByReason = maps.Clone(r.ParkedByReason)
	r.Violations = slices.Clone(r.Violations)
	r.Money = make([]Sum, 0, len(c.money))
	for code, m := range c.money {
		r.Money = append(r.Money, Sum{Currency: code, Amount: m.sum.Number(), Trades: m.trades})
	}
	slices.SortFunc(r.Money, func(a, b Sum) int { return cmp.Compare(a.Currency, b.Currency) })
	return r
}

// WriteTable writes the report as text. It returns errors of w.
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

// byReason writes the most frequent reason first.
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
