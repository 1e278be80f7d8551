package contest

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"time"
)

// Report is the line of JSON that a candidate prints when it ends.
type Report struct {
	Jobs int     `json:"jobs"`   // done
	P50  float64 `json:"p50_ms"` // latency
	P99  float64 `json:"p99_ms"`
	Note string  `json:"note"` // what the latency is of
}

// Summary gathers latencies. It is safe for concurrent use.
type Summary struct {
	from, to int

	mu   sync.Mutex
	jobs int
	took []time.Duration
}

// NewSummary returns a summary of the jobs that the options ask for.
func NewSummary(o Options) *Summary { return &Summary{from: o.From, to: o.To} }

// Add counts a job that is done.
func (s *Summary) Add(took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.jobs >= s.from && (s.to == 0 || s.jobs < s.to) {
		s.took = append(s.took, took)
	}
	s.jobs++
}

// Jobs is how many were added.
func (s *Summary) Jobs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.jobs
}

// Write writes the report as one line of JSON.
func (s *Summary) Write(w io.Writer, note string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.took)
	report := Report{
		Jobs: s.jobs, Note: note,
		P50: Milliseconds(Percentile(s.took, 50)), P99: Milliseconds(Percentile(s.took, 99)),
	}
	if err := json.NewEncoder(w).Encode(report); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// Percentile returns the smallest value that p per cent of the sorted values
// do not exceed (the nearest rank), and 0 without values.
func Percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// Milliseconds is a duration as a number of milliseconds.
func Milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
