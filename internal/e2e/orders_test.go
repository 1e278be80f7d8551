//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/audit"
	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
)

// order is what was authorized at the gateway, and the jobs that ask for it.
type order struct {
	trade gatewaytest.Trade
	known bool // the gateway has the trade
	jobs  []capture.Job
}

// plain returns orders that a healthy gateway captures.
func plain(t *testing.T, prefix string, n int) []order {
	t.Helper()
	orders := make([]order, n)
	for i := range orders {
		amount := money(t, fmt.Sprintf("%d.%02d", 5+i%90, i%100), "EUR")
		trade := fmt.Sprintf("%s-%04d", prefix, i)
		orders[i] = order{
			trade: gatewaytest.Trade{TradeID: trade, Amount: amount}, known: true,
			jobs: []capture.Job{{TradeID: trade, Amount: amount, OrderID: "A-" + trade, AuthorizedAt: time.Now().UTC().Truncate(time.Second)}},
		}
	}
	return orders
}

// mixed returns orders of which one in five is none that is simply captured.
func mixed(t *testing.T, prefix string, n int) []order {
	t.Helper()
	orders := plain(t, prefix, n)
	for i := range orders {
		o := &orders[i]
		switch i % 25 {
		case 3: // more than was authorized
			o.jobs[0].Amount = money(t, "999.00", "EUR")
		case 8: // published twice
			o.jobs = append(o.jobs, o.jobs[0])
		case 13: // a second event contradicts the first
			second := o.jobs[0]
			second.Amount = money(t, "1.00", "EUR")
			o.jobs = append(o.jobs, second)
		case 18:
			o.trade.State = capture.OrderDeclined
		case 23: // no such authorization
			o.known = false
		}
	}
	return orders
}

func money(t *testing.T, number, code string) capture.Amount {
	t.Helper()
	a, err := capture.ParseAmount(number, code)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// place authorizes the orders at the gateway and publishes their jobs.
func place(b *broker, s *sim, orders []order) {
	b.t.Helper()
	var trades []gatewaytest.Trade
	for _, o := range orders {
		if o.known {
			trades = append(trades, o.trade)
		}
	}
	s.authorize(trades...)
	for _, o := range orders {
		for _, job := range o.jobs {
			body, err := json.Marshal(job)
			if err != nil {
				b.t.Fatal(err)
			}
			b.publish(jobsSubject, body)
		}
	}
}

// settled audits the orders, when all jobs are done: every one has one outcome
// that stands and agrees with the gateway's truth, none was captured twice, no
// rule was broken on the way, and the ledger knows of no others.
func settled(b *broker, s *sim, orders []order) audit.Report {
	b.t.Helper()
	collector := audit.NewCollector(processtest.Policy, 20)
	truths := s.truths()
	for _, o := range orders {
		id := o.trade.TradeID
		truth := truthOf(id, truths)
		var only *capture.Job // of several jobs any may be the one that counted
		if len(o.jobs) == 1 {
			only = &o.jobs[0]
		}
		collector.Add(id, b.events(id), &truth, only)
	}
	report := collector.Report()
	if !report.Clean() || report.Unsettled > 0 {
		var table strings.Builder
		_ = report.WriteTable(&table) // a Builder takes everything
		b.t.Errorf("the audit is not clean:\n%s", table.String())
	}
	noStrangers(b, orders)
	return report
}

func truthOf(id string, truths map[string]gatewaytest.Truth) audit.Truth {
	found := truths[id]
	truth := audit.Truth{TradeID: id, State: found.Now}
	for _, effect := range found.Captures {
		truth.Captures = append(truth.Captures, audit.Capture{Amount: effect.Amount, RequestID: effect.RequestID, At: effect.At})
	}
	return truth
}

func noStrangers(b *broker, orders []order) {
	b.t.Helper()
	known := map[string]bool{}
	for _, o := range orders {
		known[o.trade.TradeID] = true
	}
	for id, err := range b.book.Trades(b.t.Context(), ledger.Filter{}) {
		if err != nil {
			b.t.Fatalf("walking the ledger: %v", err)
		}
		if !known[id] {
			b.t.Errorf("the ledger holds trade %s, which no job asked for", id)
		}
	}
}

// allCaptured is settled, where every order must end as captured.
func allCaptured(b *broker, s *sim, orders []order) {
	b.t.Helper()
	if report := settled(b, s, orders); report.Captured != len(orders) {
		b.t.Errorf("%d of %d trades are captured; failed: %v, parked: %v",
			report.Captured, len(orders), report.FailedByReason, report.ParkedByReason)
	}
}

// takenOver counts the trades in which a worker announced a call whose answer
// it never wrote down, and another continued from there.
func takenOver(b *broker, orders []order) int {
	b.t.Helper()
	n := 0
	for _, o := range orders {
		events := b.events(o.trade.TradeID)
		for i := 1; i < len(events); i++ {
			if before := events[i-1]; before.Type == capture.Attempted && before.Worker != events[i].Worker {
				n++
				break
			}
		}
	}
	return n
}
