package result

import (
	"fmt"
	"io"

	"github.com/capture-worker/capture-worker/bench/internal/stats"
)

// references are what the others are compared with, and how the columns are
// headed.
var references = []string{"ceiling", "naive"}

// WriteTables writes a table for each cell, in Markdown.
func (r Run) WriteTables(w io.Writer) {
	for _, c := range r.Cells() {
		r.writeCell(w, c)
	}
	for _, reason := range r.LeftOut {
		fmt.Fprintf(w, "\nLeft out: %s\n", reason)
	}
}

func (r Run) writeCell(w io.Writer, c Cell) {
	fmt.Fprintf(w, "\n**%s**: gateway latency %s, %d calls in flight\n\n", c, c.Latency, c.Concurrency)
	fmt.Fprintln(w, "| candidate | jobs/s | to the ceiling | to naive | p50 ms | p99 ms | CPU µs/job | broker CPU µs/job | peak RSS MiB |")
	fmt.Fprintln(w, "| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, name := range r.Candidates(c) {
		of := func(value func(Round) float64) stats.Spread { return byRound(r.Of(c, name, value)) }
		rate := of(Round.rate)
		if rate.N == 0 {
			fmt.Fprintf(w, "| %s | no round went well | | | | | | | |\n", name)
			continue
		}
		fmt.Fprintf(w, "| %s | %s", name, rate.Text("%.0f"))
		for _, reference := range references {
			fmt.Fprintf(w, " | %s", r.ratio(c, name, reference))
		}
		fmt.Fprintf(w, " | %.1f | %.1f | %.0f | %.0f | %.0f |\n",
			of(func(t Round) float64 { return t.P50 }).Median, of(func(t Round) float64 { return t.P99 }).Median,
			of(func(t Round) float64 { return t.WorkerCPU }).Median, of(func(t Round) float64 { return t.BrokerCPU }).Median,
			of(func(t Round) float64 { return float64(t.PeakRSS) / (1 << 20) }).Max)
	}
	for _, t := range r.Rounds {
		if t.Cell == c && t.Problem != "" {
			fmt.Fprintf(w, "\nRound %d of %s does not count: %s\n", t.Round, t.Candidate, t.Problem)
		}
	}
}

func (t Round) rate() float64 { return t.Rate }

// ratios compares rates round by round.
func (r Run) ratios(c Cell, name, reference string) stats.Spread {
	return stats.Ratios(r.Of(c, name, Round.rate), r.Of(c, reference, Round.rate))
}

func (r Run) ratio(c Cell, name, reference string) string {
	if name == reference {
		return "1"
	}
	return r.ratios(c, name, reference).Text("%.2f")
}

// others is the share of the machine that other programs took, by round.
func (r Run) others() stats.Spread {
	var shares []float64
	for _, t := range r.Rounds {
		if t.Problem == "" {
			shares = append(shares, t.Others)
		}
	}
	return stats.Of(shares)
}

func byRound(values map[int]float64) stats.Spread {
	var list []float64
	for _, v := range values {
		list = append(list, v)
	}
	return stats.Of(list)
}
