// Package metrics counts what a worker does, for Prometheus. It wraps the gateway
// and the ledger that the worker uses; the worker does not depend on it. No label
// contains an id: the number of series is bounded, and every series exists from
// the start.
package metrics

import (
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/worker"
)

// latencies are buckets from a millisecond to the gateway's timeout, in seconds.
var latencies = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// Metrics holds the series of one process. Use New.
type Metrics struct {
	registry *prometheus.Registry

	deliveries *prometheus.CounterVec // by verb and reason
	passedOver *prometheus.CounterVec // by condition, mismatch and whether it names a trade
	conditions map[string]bool        // that have series of their own
	jobSeconds prometheus.Histogram
	outcomes   *prometheus.CounterVec // by outcome and reason
	corrected  prometheus.Counter
	events     *prometheus.CounterVec // by type
	money      *moneyCounter          // captured, by currency
	calls      *prometheus.HistogramVec
	codes      *prometheus.CounterVec
	appends    *prometheus.HistogramVec
	ready      *prometheus.GaugeVec // by lane
	delivered  *prometheus.GaugeVec // by lane
	again      *prometheus.GaugeVec // by lane
	paused     *prometheus.GaugeVec // by lane
	faultCode  atomic.Value         // string: code of the last refusal of our key or user
	open       *openTrades
}

// New returns all series at zero. now is the clock.
func New(version string, now func() time.Time) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), open: newOpenTrades(now), conditions: map[string]bool{}}
	m.makeJobs()
	m.makeCalls()
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.deliveries, m.passedOver, m.jobSeconds, m.outcomes, m.corrected, m.events, m.money,
		m.calls, m.codes, m.appends, m.ready, m.delivered, m.again, m.paused, m.open,
	)
	m.buildInfo(version)
	return m
}

// Terms sets how long an authorization can be captured, and after what time an
// unsettled trade is overdue. Call it before anything is counted.
func (m *Metrics) Terms(window, attention time.Duration) {
	m.open.window, m.open.overdueAfter = window, attention
}

const (
	// maxConditions bounds the conditions of jobs.match that have series of their
	// own; otherCondition is the label of the rest.
	maxConditions  = 30
	otherCondition = "other"
)

// Conditions sets the paths of jobs.match and withdrawals.match. Call it before
// anything is counted.
func (m *Metrics) Conditions(match []capture.Match) {
	for _, condition := range match {
		if len(m.conditions) == maxConditions {
			m.addCondition(otherCondition)
			break
		}
		m.conditions[condition.Path] = true
		m.addCondition(condition.Path)
	}
}

func (m *Metrics) addCondition(path string) {
	for _, why := range capture.Mismatches() {
		for _, trade := range []string{"yes", "no"} {
			m.passedOver.WithLabelValues(path, string(why), trade)
		}
	}
}

func (m *Metrics) makeJobs() {
	m.passedOver = counters("capture_passed_over_total", "Messages that jobs.match or withdrawals.match does not take, by the condition that they fail, how (expected: a value in its others; missing; case: differs in letter case only; value: another value), and whether they name a trade (of a withdrawal, a trade or an order).", "condition", "why", "trade")
	m.deliveries = counters("capture_deliveries_total", "Deliveries of jobs, by result (verb and reason). Reason not_selected: acknowledged events that jobs.match does not select.", "verb", "reason")
	m.jobSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "capture_delivery_seconds", Help: "Time from a delivery to its result, including waits.",
		Buckets: append(latencies, 60),
	})
	m.outcomes = counters("capture_outcomes_total", "Outcomes written to the ledger by this process.", "outcome", "reason")
	m.corrected = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "capture_corrections_total", Help: "Outcomes that corrected an earlier one.",
	})
	m.events = counters("capture_events_total", "Events appended to the ledger by this process.", "type")
	m.money = newMoneyCounter("capture_captured_money_total", "Money captured, in units of the currency.")
	m.ready = gauges("capture_jobs_ready", "Jobs in the stream that were not delivered yet, for all workers.", "lane")
	m.delivered = gauges("capture_jobs_delivered", "Jobs delivered and not acknowledged, including those that wait for a retry, for all workers.", "lane")
	m.again = gauges("capture_jobs_redelivered", "Delivered jobs that were delivered more than once, for all workers.", "lane")
	m.paused = gauges("capture_lane_paused", "1 while the lane is paused by an operator.", "lane")
	m.deliveries.WithLabelValues(string(worker.Ack), "")
	m.deliveries.WithLabelValues(string(worker.Ack), worker.NotSelected)
	m.deliveries.WithLabelValues(string(worker.Retry), "")
	for _, reason := range deadletter.Reasons() {
		m.deliveries.WithLabelValues(string(worker.DeadLetter), reason)
	}
	m.outcomes.WithLabelValues(string(capture.Captured), "")
	for _, reason := range capture.FailedReasons() {
		m.outcomes.WithLabelValues(string(capture.Failed), reason)
	}
	for _, reason := range capture.ParkedReasons() {
		m.outcomes.WithLabelValues(string(capture.Parked), reason)
	}
	for _, t := range capture.EventTypes() {
		m.events.WithLabelValues(string(t))
	}
}

func (m *Metrics) makeCalls() {
	m.calls = histograms("capture_gateway_call_seconds", "Gateway calls, by method and answer.", "method", "answer")
	m.codes = counters("capture_gateway_codes_total", "Codes in the answers of the gateway; other: a code that its documentation does not list.", "method", "code")
	m.appends = histograms("capture_ledger_append_seconds", "Appends to the ledger, by result.", "result")
	for _, method := range []string{methodCapture, methodQuery} {
		for _, kind := range []capture.AnswerKind{capture.AnswerDone, capture.AnswerRefused, capture.AnswerUnknown, capture.AnswerNotSent} {
			m.calls.WithLabelValues(method, string(kind))
		}
		for _, code := range append(slices.Clone(codes), otherCode) {
			m.codes.WithLabelValues(method, code)
		}
	}
	for _, result := range []string{appendStored, appendConflict, appendUncertain, appendFailed} {
		m.appends.WithLabelValues(result)
	}
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
}

func histograms(name, help string, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: latencies}, labels)
}

// Disposed counts a delivery. It is the function for worker.Config.Observe.
func (m *Metrics) Disposed(d worker.Disposition, took time.Duration) {
	m.deliveries.WithLabelValues(string(d.Do), d.Reason).Inc()
	m.jobSeconds.Observe(took.Seconds())
	if p := d.PassedOver; p != nil {
		m.PassedOver(p.Why, p.TradeID != "")
	}
}

// PassedOver counts a message that jobs.match or withdrawals.match does not select;
// named says that it names a trade, or, of a withdrawal, an order.
func (m *Metrics) PassedOver(why capture.MatchError, named bool) {
	condition, trade := why.Path, "no"
	if !m.conditions[condition] {
		condition = otherCondition
	}
	if named {
		trade = "yes"
	}
	m.passedOver.WithLabelValues(condition, string(why.Kind()), trade).Inc()
}

// Backlog is the backlog of a lane's consumer, for all workers.
type Backlog struct {
	Ready       float64 // not delivered yet
	Delivered   float64 // delivered and not acknowledged
	Redelivered float64 // of these, delivered more than once
	Paused      bool
}

// Backlog sets the backlog of a lane.
func (m *Metrics) Backlog(lane string, b Backlog) {
	m.ready.WithLabelValues(lane).Set(b.Ready)
	m.delivered.WithLabelValues(lane).Set(b.Delivered)
	m.again.WithLabelValues(lane).Set(b.Redelivered)
	m.paused.WithLabelValues(lane).Set(one(b.Paused))
}

// Handler serves the series.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}
