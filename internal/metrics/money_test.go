package metrics

import (
	"bytes"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

// Sums of money are printed as the decimals that they are.
func TestMoneyHasNoNoise(t *testing.T) {
	t.Parallel()
	c := newMoneyCounter("money_total", "Money.")
	for range 1000 {
		c.add("EUR", "0.1")
		c.add("EUR", "2319.11")
		c.add("KWD", "0.007")
		c.add("JPY", "2499")
		c.add("CLF", "0.0001")
	}
	for _, none := range []string{"", "x", "1e3", "-1", "0.00001"} {
		c.add("EUR", none)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&out, f); err != nil {
			t.Fatal(err)
		}
	}
	const want = `# HELP money_total Money.
# TYPE money_total counter
money_total{currency="CLF"} 0.1
money_total{currency="EUR"} 2.31921e+06
money_total{currency="JPY"} 2.499e+06
money_total{currency="KWD"} 7
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}
