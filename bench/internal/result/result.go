// Package result holds what a run of the benchmark came to, raw and summed up,
// and writes it as a table and as a plot.
package result

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/capture-worker/capture-worker/bench/internal/procfs"
)

// Run is everything that was measured in one go.
type Run struct {
	Began    time.Time
	Took     time.Duration
	Command  string // that repeats it
	Machine  procfs.Machine
	Versions []Version
	Sync     bool     // the nats-server synced to the disk before it confirmed
	LeftOut  []string // candidates that could not take part, and why
	Scenario string   // what was measured; "" is the matrix
	Rounds   []Round
	Tables   []Table // of a scenario
}

// MatrixPart names the part of the page that has the matrix.
const MatrixPart = "matrix"

// Part names the part of the page that the run is for.
func (r Run) Part() string { return cmp.Or(r.Scenario, MatrixPart) }

// Version is a program's or library's.
type Version struct{ Name, Version string }

// Cell is how a gateway behaves and how hard it is driven.
type Cell struct {
	Latency     time.Duration // of the gateway
	Concurrency int           // calls in flight
}

// String is "20ms/64".
func (c Cell) String() string {
	if c.Latency == 0 {
		return fmt.Sprintf("0ms/%d", c.Concurrency)
	}
	return fmt.Sprintf("%s/%d", c.Latency, c.Concurrency)
}

// ParseCell reads what String writes.
func ParseCell(text string) (c Cell, err error) {
	latency, concurrency, ok := strings.Cut(text, "/")
	if ok {
		c.Latency, err = time.ParseDuration(latency)
	}
	if ok && err == nil {
		c.Concurrency, err = strconv.Atoi(concurrency)
	}
	if !ok || err != nil || c.Latency < 0 || c.Concurrency < 1 {
		return Cell{}, fmt.Errorf("cell %q: must be latency/concurrency, such as 20ms/64", text)
	}
	return c, nil
}

// Compare orders cells by latency, then concurrency.
func (c Cell) Compare(other Cell) int {
	return cmp.Or(cmp.Compare(c.Latency, other.Latency), cmp.Compare(c.Concurrency, other.Concurrency))
}

// Round is one candidate's run in one cell.
type Round struct {
	Cell      Cell
	Round     int // from 1
	Candidate string
	Jobs      int // published; the rate is of those from a tenth to nineteen twentieths

	Rate      float64 // jobs/s, slope of the fitted line
	PlainRate float64 // jobs/s, between the first and the last point
	P50, P99  float64 // ms
	Latency   string  // what of
	Samples   int     // that the latencies are of; 0 where the candidate measured

	WorkerCPU  float64 // µs per job
	BrokerCPU  float64 // µs per job
	GatewayCPU float64 // µs per job, of the simulator
	PeakRSS    int64   // bytes, of the candidate
	Others     float64 // share of the machine, 0 to 1, that programs besides these took
	Problem    string  // what went wrong, if anything
}

// Cells lists the cells that have rounds, in order.
func (r Run) Cells() []Cell {
	var cells []Cell
	for _, t := range r.Rounds {
		if !slices.Contains(cells, t.Cell) {
			cells = append(cells, t.Cell)
		}
	}
	slices.SortFunc(cells, Cell.Compare)
	return cells
}

// Candidates lists who took part in a cell, in the order of the first round of
// each.
func (r Run) Candidates(c Cell) []string {
	var names []string
	for _, t := range r.Rounds {
		if t.Cell == c && !slices.Contains(names, t.Candidate) {
			names = append(names, t.Candidate)
		}
	}
	return names
}

// Of returns a value by round, of the rounds of a candidate that went well.
func (r Run) Of(c Cell, candidate string, value func(Round) float64) map[int]float64 {
	values := map[int]float64{}
	for _, t := range r.Rounds {
		if t.Cell == c && t.Candidate == candidate && t.Problem == "" {
			values[t.Round] = value(t)
		}
	}
	return values
}
