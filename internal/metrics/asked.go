package metrics

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/capture-worker/capture-worker/capture"
)

// Gauge adds a series whose value is asked for when it is read.
func (m *Metrics) Gauge(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

// Counters adds a counter that others count, with a series for each value of
// the label.
func (m *Metrics) Counters(name, help, label string, counts map[string]*atomic.Int64) {
	for value, count := range counts {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: name, Help: help, ConstLabels: prometheus.Labels{label: value},
		}, func() float64 { return float64(count.Load()) }))
	}
}

// haltReasons are the codes that halt, and what each refuses.
func haltReasons() map[string]string {
	return map[string]string{capture.CodeSignature: "signature", capture.CodeUser: "user"}
}

// Halt adds capture_halted. The reason is that of the last refusal that came
// through Gateway.
func (m *Metrics) Halt(halted func() bool) {
	for code, reason := range haltReasons() {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "capture_halted",
			Help:        "1 while the gateway refuses our key (signature) or user and no jobs are taken: an operator is needed.",
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
