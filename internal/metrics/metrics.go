// Package metrics counts what a worker does, for Prometheus. It stands beside
// the work: it wraps the gateway and the ledger that the work goes through,
// and nothing of the work depends on it. No label holds an id: every series
// is there from the start, and there are only so many.
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

// latencies suits calls from a millisecond to the gateway's timeout.
var latencies = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// Metrics holds the series of one process.
type Metrics struct {
	registry *prometheus.Registry

	deliveries *prometheus.CounterVec // by verb and reason
	jobSeconds prometheus.Histogram
	outcomes   *prometheus.CounterVec // by outcome and reason
	corrected  prometheus.Counter
	events     *prometheus.CounterVec // by type
	money      *prometheus.CounterVec // captured, by currency
	calls      *prometheus.HistogramVec
	codes      *prometheus.CounterVec
	appends    *prometheus.HistogramVec
	ready      *prometheus.GaugeVec // by lane
	delivered  *prometheus.GaugeVec // by lane
	again      *prometheus.GaugeVec // by lane
	paused     *prometheus.GaugeVec // by lane
	faultCode  atomic.Value         // string: the last refusal of our key or user
	open       *openTrades
}

// New returns the series, all at zero. now is the clock.
func New(version string, now func() time.Time) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), open: newOpenTrades(now)}
	m.makeJobs()
	m.makeCalls()
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.deliveries, m.jobSeconds, m.outcomes, m.corrected, m.events, m.money,
		m.calls, m.codes, m.appends, m.ready, m.delivered, m.again, m.paused, m.open,
	)
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "capture_build_info", Help: "1, with the version of the program.",
	}, []string{"version"})
	info.WithLabelValues(version).Set(1)
	m.registry.MustRegister(info)
	return m
}

// Terms sets how long an authorization can be captured, and how long a trade may
// be open before it wants attention. Call it before anything is counted.
func (m *Metrics) Terms(window, attention time.Duration) {
	m.open.window, m.open.long = window, attention
}

func (m *Metrics) makeJobs() {
	m.deliveries = counters("capture_deliveries_total", "Deliveries of jobs, by what became of them. Acknowledged ones with the reason not_selected are events that jobs.match passes over.", "verb", "reason")
	m.jobSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "capture_delivery_seconds", Help: "From a delivery to what became of it, waits inside included.",
		Buckets: append(latencies, 60),
	})
	m.outcomes = counters("capture_outcomes_total", "Outcomes written to the ledger by this process.", "outcome", "reason")
	m.corrected = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "capture_corrections_total", Help: "Outcomes that corrected an earlier one.",
	})
	m.events = counters("capture_events_total", "Events appended to the ledger by this process.", "type")
	m.money = counters("capture_captured_money_total", "Money captured, in units of the currency.", "currency")
	m.ready = gauges("capture_jobs_ready", "Jobs in the stream that were not delivered yet, for all workers.", "lane")
	m.delivered = gauges("capture_jobs_delivered", "Jobs delivered and not done, those that wait for a retry included, for all workers.", "lane")
	m.again = gauges("capture_jobs_redelivered", "Of the delivered jobs, those that were delivered more than once, for all workers.", "lane")
	m.paused = gauges("capture_lane_paused", "1 while somebody has paused the lane.", "lane")
	m.deliveries.WithLabelValues(string(worker.Ack), "")
	m.deliveries.WithLabelValues(string(worker.Ack), worker.NotSelected)
	m.deliveries.WithLabelValues(string(worker.Later), "")
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
	m.codes = counters("capture_gateway_codes_total", "Codes that the gateway answered, those of its documentation.", "method", "code")
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

// Disposed counts a delivery; it is a worker.Config's Observe.
func (m *Metrics) Disposed(d worker.Disposition, took time.Duration) {
	m.deliveries.WithLabelValues(string(d.Do), d.Reason).Inc()
	m.jobSeconds.Observe(took.Seconds())
}

// Backlog is what the consumer of a lane has left, for all workers.
type Backlog struct {
	Ready       float64 // not delivered yet
	Delivered   float64 // delivered and not done
	Redelivered float64 // of these, more than once
	Paused      bool
}

// Backlog sets what a lane has left.
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
