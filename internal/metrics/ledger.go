package metrics

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
)

// Values of the label result of appends.
const (
	appendStored    = "stored"
	appendConflict  = "conflict"
	appendUncertain = "uncertain"
	appendFailed    = "failed"
)

// Ledger returns a ledger that counts its appends and the events in them: attempts,
// queries, notifications, outcomes and money. observe, if not nil, is called with the
// result of each append; it must not block.
func (m *Metrics) Ledger(next ledger.Ledger, observe func(context.Context, error)) ledger.Ledger {
	if observe == nil {
		observe = func(context.Context, error) {}
	}
	return &countedLedger{next, m, observe}
}

type countedLedger struct {
	ledger.Ledger
	m       *Metrics
	observe func(context.Context, error)
}

func (l *countedLedger) Append(ctx context.Context, e capture.Event, after uint64, opts ...ledger.AppendOption) (uint64, error) {
	begin := time.Now()
	seq, err := l.Ledger.Append(ctx, e, after, opts...)
	l.m.appends.WithLabelValues(appendResult(err)).Observe(time.Since(begin).Seconds())
	l.observe(ctx, err)
	if err == nil {
		l.m.event(&e)
	}
	return seq, err
}

// Load adds trades that an earlier process left unsettled to the gauges of
// unsettled trades.
func (l *countedLedger) Load(ctx context.Context, tradeID string) (ledger.Trade, error) {
	t, err := l.Ledger.Load(ctx, tradeID)
	if err == nil {
		l.m.open.addLoaded(t)
	}
	return t, err
}

// LoadLatest counts as Load does.
func (l *countedLedger) LoadLatest(ctx context.Context, tradeID string) (ledger.Trade, error) {
	t, err := l.Ledger.LoadLatest(ctx, tradeID)
	if err == nil {
		l.m.open.addLoaded(t)
	}
	return t, err
}

func appendResult(err error) string {
	switch {
	case err == nil:
		return appendStored
	case errors.Is(err, ledger.ErrConflict):
		return appendConflict
	case errors.Is(err, ledger.ErrUncertain):
		return appendUncertain
	}
	return appendFailed
}

func (m *Metrics) event(e *capture.Event) {
	m.events.WithLabelValues(string(e.Type)).Inc()
	m.open.addEvent(e)
	if e.Job != nil {
		m.money.add(e.Job.Amount.Currency(), "0") // creates the series at zero
	}
	if !e.Type.Outcome() {
		return
	}
	m.outcomes.WithLabelValues(string(e.Type), knownReason(e)).Inc()
	if e.Corrects != "" {
		m.corrected.Inc()
	}
	if e.Type == capture.Captured {
		m.money.add(e.Currency, e.Amount)
	}
}

// knownReason returns the reason as a label value, otherCode for unknown ones.
func knownReason(e *capture.Event) string {
	if e.Reason == "" {
		return ""
	}
	known := capture.FailedReasons()
	if e.Type == capture.Parked {
		known = capture.ParkedReasons()
	}
	if slices.Contains(known, e.Reason) {
		return e.Reason
	}
	return otherCode
}
