package audit

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/bojanz/currency"

	"github.com/capture-worker/capture-worker/capture"
)

// Report adds up many trades.
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
	Queries        int            `json:"queries"` // Order Queries written down
	Corrected      int            `json:"corrected"`
	// Violations holds the first of them; ViolationCount counts all.
	Violations     []Violation `json:"violations"`
	ViolationCount int         `json:"violation_count"`
}

// Sum is money of one currency.
type Sum struct {
	Currency string `json:"currency"`
	Amount   string `json:"amount"`
	Trades   int    `json:"trades"`
}

// Clean reports that no rule was broken and nothing differs from the truth.
// Trades that are not settled yet count only where they were compared with a
// truth.
func (r Report) Clean() bool { return r.ViolationCount == 0 }

// Collector takes trades one by one and adds them up. It keeps sums and a
// bounded list of violations, never a trade. Its methods may be called from
// several goroutines.
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

// NewCollector returns a Collector that checks against the policy and keeps at
// most keep violations in full; it counts them all.
func NewCollector(p capture.Policy, keep int) *Collector {
	return &Collector{
		policy: p, keep: keep, money: map[string]*money{},
		report: Report{FailedByReason: map[string]int{}, ParkedByReason: map[string]int{}, Violations: []Violation{}},
	}
}

// Add checks one trade and adds it up. truth and job may be nil: then the
// ledger is only checked against the rules. It returns what it found.
func (c *Collector) Add(trade string, events []capture.Event, truth *Truth, job *capture.Job) []Violation {
	found := Events(trade, events, c.policy)
	if truth != nil {
		found = append(found, Compare(events, *truth, job)...)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Trades++
	c.count(events)
	c.settle(Standing(events))
	c.report.ViolationCount += len(found)
	if room := c.keep - len(c.report.Violations); room > 0 {
		c.report.Violations = append(c.report.Violations, found[:min(room, len(found))]...)
	}
	return found
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
		return // an unreadable amount is a violation of rule 6 already
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

// Report returns the sums so far. The caller may keep and change it.
func (c *Collector) Report() Report {
	c.mu.Lock()
	defer c.mu.Unlock()
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
