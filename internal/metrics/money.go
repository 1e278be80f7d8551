package metrics

import (
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// moneyDigits are the decimals in which sums are kept; no currency has more.
const moneyDigits = 4

// moneyUnits reads a plain decimal number exactly, in ten-thousandths of the
// currency's unit. Text that is none is 0.
func moneyUnits(number string) int64 {
	whole, fraction, _ := strings.Cut(number, ".")
	if len(fraction) > moneyDigits {
		return 0
	}
	n, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", moneyDigits-len(fraction)), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// moneyValue returns the float that is nearest to a sum, so that 2319.11 is printed
// without noise.
func moneyValue(units int64) float64 { return float64(units) / 1e4 }

// moneyCounter counts money by currency. It adds integers: floats would gather
// errors of rounding.
type moneyCounter struct {
	desc *prometheus.Desc

	mu   sync.Mutex
	sums map[string]int64
}

func newMoneyCounter(name, help string) *moneyCounter {
	return &moneyCounter{desc: prometheus.NewDesc(name, help, []string{"currency"}, nil), sums: map[string]int64{}}
}

// add adds an amount; "0" creates the series.
func (c *moneyCounter) add(currency, number string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sums[currency] += moneyUnits(number)
}

// Describe implements prometheus.Collector.
func (c *moneyCounter) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

// Collect implements prometheus.Collector.
func (c *moneyCounter) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for currency, sum := range c.sums {
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.CounterValue, moneyValue(sum), currency)
	}
}
