// Package stats holds the arithmetic of the benchmark.
package stats

import (
	"fmt"
	"slices"
	"time"
)

// Spread is what several rounds came to.
type Spread struct {
	Min, Median, Max float64
	N                int
}

// Of sums up values. The median of an even number of values is the mean of the
// two in the middle. No values give the zero Spread.
func Of(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	s := slices.Sorted(slices.Values(values))
	n := len(s)
	return Spread{Min: s[0], Median: (s[(n-1)/2] + s[n/2]) / 2, Max: s[n-1], N: n}
}

// Ratios divides round by round: machines have moods, and two measurements that
// followed each other share one. A round that lacks either value is left out.
func Ratios(of, to map[int]float64) Spread {
	var ratios []float64
	for round, value := range of {
		if base := to[round]; base > 0 {
			ratios = append(ratios, value/base)
		}
	}
	return Of(ratios)
}

// Point is a count at a moment.
type Point struct {
	At    time.Time
	Count int64
}

// Window returns the points from the first one that has reached the count from
// to the first one that has reached the count to; none where to was not reached.
func Window(points []Point, from, to int64) []Point {
	reached := func(count int64) int {
		return slices.IndexFunc(points, func(p Point) bool { return p.Count >= count })
	}
	first, last := reached(from), reached(to)
	if first < 0 || last <= first {
		return nil
	}
	return points[first : last+1]
}

// Rate is the growth per second: the slope of the line that fits the points
// best. Calls come in waves when all of them take the same time, and where in a
// wave the first and the last point happen to lie must not count.
func Rate(points []Point) float64 {
	if len(points) < 2 {
		return 0
	}
	n := float64(len(points))
	var meanT, meanC float64
	for _, p := range points {
		meanT += p.since(points[0]) / n
		meanC += float64(p.Count) / n
	}
	var covariance, variance float64
	for _, p := range points {
		dt := p.since(points[0]) - meanT
		covariance += dt * (float64(p.Count) - meanC)
		variance += dt * dt
	}
	if variance == 0 {
		return 0
	}
	return covariance / variance
}

// PlainRate is the growth per second between the first and the last point.
func PlainRate(points []Point) float64 {
	if len(points) < 2 {
		return 0
	}
	last := points[len(points)-1]
	took := last.since(points[0])
	if took <= 0 {
		return 0
	}
	return float64(last.Count-points[0].Count) / took
}

func (p Point) since(first Point) float64 { return p.At.Sub(first.At).Seconds() }

// Scaled multiplies all of it.
func (s Spread) Scaled(by float64) Spread {
	s.Min, s.Median, s.Max = s.Min*by, s.Median*by, s.Max*by
	return s
}

// Text writes the median, and the range if there is more than one value.
func (s Spread) Text(format string) string {
	if s.N == 0 {
		return "–"
	}
	text := fmt.Sprintf(format, s.Median)
	if s.N > 1 {
		text += fmt.Sprintf(" ("+format+"–"+format+")", s.Min, s.Max)
	}
	return text
}

// Busiest is the largest growth within a span that begins at a point not after
// the moment last. The points are in order.
func Busiest(points []Point, last time.Time, span time.Duration) (most int64) {
	end := 0
	for _, begin := range points {
		if begin.At.After(last) {
			break
		}
		for end < len(points) && points[end].At.Sub(begin.At) <= span {
			end++
		}
		most = max(most, points[end-1].Count-begin.Count)
	}
	return most
}
