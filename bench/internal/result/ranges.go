package result

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/capture-worker/capture-worker/bench/internal/stats"
)

// ranges draws a line from the lowest to the highest value over each bar.
// Gonum's own error bars cannot be moved aside, as the bars of a group are.
type ranges struct {
	of     []stats.Spread
	offset vg.Length
}

// Plot implements plot.Plotter.
func (l ranges) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	style := draw.LineStyle{Color: color.Black, Width: vg.Points(0.8)}
	for i, s := range l.of {
		if s.N == 0 {
			continue
		}
		x := toX(float64(i)) + l.offset
		c.StrokeLine2(style, x, toY(s.Min), x, toY(min(s.Max, p.Y.Max)))
	}
}
