package metrics

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
)

// openTrades holds the unsettled trades that this process has written to. Another
// process may settle one of them, so Sweep reads those from the ledger that were
// not touched for a while.
type openTrades struct {
	now          func() time.Time
	window       time.Duration // of an authorization
	overdueAfter time.Duration
	mu           sync.Mutex
	trades       map[string]openTrade
	// currencies holds all currencies that had an unsettled trade: their series stay,
	// at zero.
	currencies map[string]bool

	oldest, deadline, count, overdue, risk *prometheus.Desc
}

type openTrade struct {
	since    time.Time
	deadline time.Time
	amount   capture.Amount
	touched  time.Time
}

// DefaultAttention is the default time after which an unsettled trade is overdue.
const DefaultAttention = 24 * time.Hour

// maxOpen bounds the memory. Further trades are not counted.
const maxOpen = 200_000

func newOpenTrades(now func() time.Time) *openTrades {
	return &openTrades{
		now: now, window: capture.AuthorizationWindow, overdueAfter: DefaultAttention,
		trades: map[string]openTrade{}, currencies: map[string]bool{},
		oldest: prometheus.NewDesc("capture_unsettled_oldest_timestamp_seconds",
			"When the oldest unsettled trade of this process was opened; 0 if there is none.", nil, nil),
		deadline: prometheus.NewDesc("capture_unsettled_nearest_deadline_timestamp_seconds",
			"The nearest authorization deadline among the unsettled trades of this process; 0 if none is known.", nil, nil),
		count: prometheus.NewDesc("capture_unsettled_trades", "Unsettled trades of this process.", nil, nil),
		overdue: prometheus.NewDesc("capture_unsettled_overdue_trades",
			"Unsettled trades of this process that are open longer than worker.attention_after.", nil, nil),
		risk: prometheus.NewDesc("capture_unsettled_money",
			"Money of the unsettled trades of this process, in units of the currency.", []string{"currency"}, nil),
	}
}

// addEvent takes an event that this process has appended.
func (o *openTrades) addEvent(e *capture.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if e.Type.Outcome() {
		delete(o.trades, e.TradeID)
		return
	}
	t, known := o.trades[e.TradeID]
	if !known && (e.Type != capture.Attempted || len(o.trades) >= maxOpen) {
		return
	}
	if !known {
		t.since = e.Time
	}
	if e.Job != nil {
		t.deadline, t.amount = e.Job.Deadline(o.window), e.Job.Amount
		o.currencies[t.amount.Currency()] = true
	}
	if created := createdAt(e); t.deadline.IsZero() && !created.IsZero() {
		t.deadline = created.Add(o.window)
	}
	t.touched = o.now()
	o.trades[e.TradeID] = t
}

// addLoaded takes a trade that was read. An unsettled one that is unknown was
// opened by another process, such as this one before a restart.
func (o *openTrades) addLoaded(trade ledger.Trade) {
	state := trade.State()
	if settled(state) {
		o.update(trade.ID, true)
		return
	}
	if state.Job.TradeID == "" {
		return // the ledger has no job of it, so there is nothing to capture
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, known := o.trades[trade.ID]; known || len(o.trades) >= maxOpen {
		return
	}
	o.currencies[state.Job.Amount.Currency()] = true
	o.trades[trade.ID] = openTrade{
		since: state.OpenedAt, deadline: state.Deadline(o.window), amount: state.Job.Amount, touched: o.now(),
	}
}

// Describe implements prometheus.Collector.
func (o *openTrades) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{o.oldest, o.deadline, o.count, o.overdue, o.risk} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (o *openTrades) Collect(ch chan<- prometheus.Metric) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var oldest, nearest time.Time
	overdue, limit := 0, o.now().Add(-o.overdueAfter)
	risk := map[string]int64{}
	for currency := range o.currencies {
		risk[currency] = 0
	}
	for _, t := range o.trades {
		oldest, nearest = earlier(oldest, t.since), earlier(nearest, t.deadline)
		risk[t.amount.Currency()] += moneyUnits(t.amount.Number())
		if t.since.Before(limit) {
			overdue++
		}
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(o.oldest, seconds(oldest))
	gauge(o.deadline, seconds(nearest))
	gauge(o.count, float64(len(o.trades)))
	gauge(o.overdue, float64(overdue))
	for currency, sum := range risk {
		gauge(o.risk, moneyValue(sum), currency)
	}
}

// createdAt returns when the authorization was made, zero if the event does not
// say.
func createdAt(e *capture.Event) time.Time {
	if e.Answer == nil || e.Answer.Order == nil {
		return time.Time{}
	}
	return capture.UnixSeconds(e.Answer.Order.CreatedAt)
}

// earlier returns the earlier of two times; zero means none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

// sweepLimit bounds the trades that one sweep reads.
const sweepLimit = 200

// Sweep reads the trades that this process has not touched for that long, and
// removes those that another process has settled. It runs until ctx ends.
func (m *Metrics) Sweep(ctx context.Context, l ledger.Ledger, untouched time.Duration) {
	tick := time.NewTicker(max(untouched/2, time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, id := range m.open.untouched(untouched) {
				if trade, err := l.Load(ctx, id); err == nil {
					m.open.update(id, len(trade.Events) == 0 || settled(trade.State()))
				}
			}
		}
	}
}

func (o *openTrades) untouched(d time.Duration) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var ids []string
	for id, t := range o.trades {
		if o.now().Sub(t.touched) >= d {
			if ids = append(ids, id); len(ids) == sweepLimit {
				break
			}
		}
	}
	return ids
}

// settled reports whether the trade has an outcome. Later events, such as a
// notification, do not change that.
func settled(s capture.State) bool {
	switch s.Phase {
	case capture.PhaseCaptured, capture.PhaseFailed, capture.PhaseParked:
		return true
	}
	return false
}

// update removes a settled trade and marks another as touched.
func (o *openTrades) update(id string, settled bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	t, known := o.trades[id]
	if !known {
		return
	}
	if settled {
		delete(o.trades, id)
		return
	}
	t.touched = o.now()
	o.trades[id] = t
}
