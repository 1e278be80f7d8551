package stats_test

import (
	"math"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/bench/internal/stats"
)

func TestOf(t *testing.T) {
	for name, c := range map[string]struct {
		values []float64
		want   stats.Spread
	}{
		"nothing":        {nil, stats.Spread{}},
		"one":            {[]float64{3}, stats.Spread{Min: 3, Median: 3, Max: 3, N: 1}},
		"odd, unsorted":  {[]float64{9, 1, 5}, stats.Spread{Min: 1, Median: 5, Max: 9, N: 3}},
		"even, unsorted": {[]float64{8, 2, 4, 100}, stats.Spread{Min: 2, Median: 6, Max: 100, N: 4}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := stats.Of(c.values); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// The ratio of medians would be 1 here; what counts is each round for itself.
func TestRatiosAreMadeRoundByRound(t *testing.T) {
	got := stats.Ratios(map[int]float64{1: 50, 2: 100, 3: 400, 4: 1}, map[int]float64{1: 100, 2: 100, 3: 200, 5: 7})
	if want := (stats.Spread{Min: 0.5, Median: 1, Max: 2, N: 3}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := stats.Ratios(map[int]float64{1: 50}, map[int]float64{1: 0}); got.N != 0 {
		t.Errorf("a round without a rate was compared: %+v", got)
	}
}

var start = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

// line counts every 20 ms; at is the count after that many seconds.
func line(seconds float64, at func(s float64) float64) (points []stats.Point) {
	for s := 0.0; s <= seconds; s += 0.02 {
		points = append(points, stats.Point{At: start.Add(time.Duration(s * float64(time.Second))), Count: int64(at(s))})
	}
	return points
}

func TestRateOfALine(t *testing.T) {
	points := line(3, func(s float64) float64 { return 2000 * s })
	if got := stats.Rate(points); math.Abs(got-2000) > 2 {
		t.Errorf("rate %v, want 2000", got)
	}
	if got := stats.PlainRate(points); math.Abs(got-2000) > 2 {
		t.Errorf("plain rate %v, want 2000", got)
	}
}

// Waves of 1024 calls that take 100 ms: wherever the window happens to begin
// and end in a wave, the rate is the same.
func TestRateOfWaves(t *testing.T) {
	for _, shift := range []float64{0, 0.03, 0.05, 0.099} {
		points := line(3, func(s float64) float64 { return 1024 * math.Floor((s+shift)/0.1) })
		if got := stats.Rate(points); math.Abs(got/10240-1) > 0.01 {
			t.Errorf("shift %v: rate %v, want 10240 within one per cent", shift, got)
		}
	}
}

func TestRateOfTooLittle(t *testing.T) {
	one := []stats.Point{{At: start, Count: 5}}
	same := []stats.Point{{At: start, Count: 5}, {At: start, Count: 9}}
	for name, points := range map[string][]stats.Point{"none": nil, "one": one, "no time": same} {
		if got := stats.Rate(points); got != 0 {
			t.Errorf("%s: rate %v, want 0", name, got)
		}
		if got := stats.PlainRate(points); got != 0 {
			t.Errorf("%s: plain rate %v, want 0", name, got)
		}
	}
}

func TestWindow(t *testing.T) {
	var points []stats.Point
	for i, count := range []int64{0, 5, 9, 12, 20, 20, 94, 96, 100} {
		points = append(points, stats.Point{At: start.Add(time.Duration(i) * time.Second), Count: count})
	}
	got := stats.Window(points, 10, 95)
	if len(got) != 5 || got[0].Count != 12 || got[4].Count != 96 {
		t.Errorf("window %+v", got)
	}
	if got := stats.Window(points, 10, 101); got != nil {
		t.Errorf("a window that was never over: %+v", got)
	}
	if got := stats.Window(points, 95, 96); got != nil {
		t.Errorf("a window of one point: %+v", got)
	}
}

func TestBusiest(t *testing.T) {
	burst := func(s float64) float64 { // 100 a second, and 500 more in the third second
		return 100*s + 500*min(max(s-2, 0), 1)
	}
	points := line(6, burst)
	if got := stats.Busiest(points, start.Add(5*time.Second), time.Second); got < 590 || got > 602 {
		t.Errorf("busiest second %d, want 600", got)
	}
	if got := stats.Busiest(points, start, time.Second); got < 98 || got > 102 {
		t.Errorf("first second %d, want 100", got)
	}
	if got := stats.Busiest(nil, start, time.Second); got != 0 {
		t.Errorf("busiest of nothing: %d", got)
	}
}

func TestText(t *testing.T) {
	for want, s := range map[string]stats.Spread{
		"–": {}, "0.98": stats.Of([]float64{0.976}), "0.50 (0.40–0.67)": stats.Of([]float64{0.5, 0.4, 0.67}),
	} {
		if got := s.Text("%.2f"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
