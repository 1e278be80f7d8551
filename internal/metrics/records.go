package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// NewPlain returns the series of a process that is no worker: those of the
// process itself and the version, for Gauge and GaugeBy to add to.
func NewPlain(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.buildInfo(version)
	return m
}

func (m *Metrics) buildInfo(version string) {
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "capture_build_info", Help: "1, with the version of the program.",
	}, []string{"version"})
	info.WithLabelValues(version).Set(1)
	m.registry.MustRegister(info)
}

// GaugeBy adds a gauge with a series for each value of the label, which are
// asked for when they are read.
func (m *Metrics) GaugeBy(name, help, label string, values map[string]func() float64) {
	for of, value := range values {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: name, Help: help, ConstLabels: prometheus.Labels{label: of},
		}, value))
	}
}
