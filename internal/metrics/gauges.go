package metrics

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/capture-worker/capture-worker/capture"
)

// Gauge adds a series whose value is read from a function at each scrape.
func (m *Metrics) Gauge(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

// Counters adds a counter whose values are kept by the caller, with a series for
// each value of the label.
func (m *Metrics) Counters(name, help, label string, counts map[string]*atomic.Int64) {
	for value, count := range counts {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: name, Help: help, ConstLabels: prometheus.Labels{label: value},
		}, func() float64 { return float64(count.Load()) }))
	}
}

// haltReasons returns the codes that pause the intake, and what each refuses.
func haltReasons() map[string]string {
	return map[string]string{capture.CodeSignature: "signature", capture.CodeUser: "user"}
}

// Halt adds capture_halted. Its reason is that of the last refusal that Gateway
// has counted.
func (m *Metrics) Halt(halted func() bool) {
	for code, reason := range haltReasons() {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "capture_halted",
			Help:        "1 while the gateway refuses the key (signature) or the user, and the intake of jobs is paused: an operator has to act.",
			ConstLabels: prometheus.Labels{"reason": reason},
		}, func() float64 { return one(halted() && m.faultCode.Load() == code) }))
	}
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
