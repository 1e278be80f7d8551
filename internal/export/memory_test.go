package export_test

import (
	"context"
	"flag"
	"io"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"testing"

	"github.com/capture-worker/capture-worker/internal/export"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/internal/records"
)

// liveHeap is a clearing report without lines, which measures the heap that is in
// use while rows are written.
type liveHeap struct {
	rows int
	most uint64
}

func (h *liveHeap) Cleared(context.Context, records.Trade) (export.Cleared, bool, error) {
	if h.rows++; h.rows%5000 == 0 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		h.most = max(h.most, m.HeapAlloc)
	}
	return export.Cleared{}, false, nil
}

// Ten times as many rows need no more memory, beyond the buffers of the formats.
func TestMemoryDoesNotGrowWithTheRows(t *testing.T) {
	processtest.Long(t)
	const buffers = 48 << 20
	few, many := filled(t, manySales(t, 5000)), filled(t, manySales(t, 50_000))
	for _, format := range export.Formats() {
		used := map[*records.Store]uint64{}
		for _, store := range []*records.Store{few, many} {
			heap := &liveHeap{}
			o := options(t, records.ByLearned)
			o.Clearing = heap
			if _, err := export.Write(t.Context(), store, o, format, io.Discard, io.Discard, t.TempDir()); err != nil {
				t.Fatal(err)
			}
			used[store] = heap.most
		}
		if used[many] > used[few]+buffers {
			t.Errorf("%s: %d MB for 5,000 rows, %d MB for 50,000", format, used[few]>>20, used[many]>>20)
		}
	}
}

var trades = flag.Int("trades", 100_000, "trades of BenchmarkExport")

// BenchmarkExport measures the rows a second of each format, and the largest
// memory of the process.
func BenchmarkExport(b *testing.B) {
	store := filled(b, manySales(b, *trades))
	for _, format := range export.Formats() {
		b.Run(string(format), func(b *testing.B) {
			for b.Loop() {
				if _, err := export.Write(b.Context(), store, options(b, records.ByLearned), format, io.Discard, io.Discard, b.TempDir()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(*trades)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(peak(b), "MB-peak")
		})
	}
}

// peak is the largest resident memory of the process so far, 0 if that is not
// known.
func peak(b *testing.B) float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
	if found == nil {
		return 0
	}
	kb, err := strconv.Atoi(string(found[1]))
	if err != nil {
		b.Fatal(err)
	}
	return float64(kb) / 1024
}
