package result

import (
	"fmt"
	"image/color"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/capture-worker/capture-worker/bench/internal/stats"
)

// palette has colours that differ for every kind of colour vision (Okabe
// and Ito).
var palette = []color.RGBA{
	{0x00, 0x72, 0xb2, 0xff}, {0xd5, 0x5e, 0x00, 0xff}, {0x00, 0x9e, 0x73, 0xff}, {0xcc, 0x79, 0xa7, 0xff},
	{0x56, 0xb4, 0xe9, 0xff}, {0xe6, 0x9f, 0x00, 0xff}, {0xf0, 0xe4, 0x42, 0xff}, {0x99, 0x99, 0x99, 0xff},
}

// WritePlot draws, for each cell, the rate of every candidate as a part of
// the ceiling's: the median of the rounds as a bar, lowest and highest as a
// line. The format follows the name of the file, such as .svg.
func (r Run) WritePlot(path string) error {
	p := plot.New()
	p.Title.Text = "Captures a second, as a part of the ceiling's"
	p.Y.Label.Text = "ratio, round by round"
	p.X.Label.Text = "gateway latency / calls in flight"
	p.Y.Min, p.Y.Max = 0, 1.1
	// Names stand behind their colours: a viewer's font may be wider than ours.
	p.Legend.Top, p.Legend.Left = true, true
	cells, names := r.Cells(), r.contenders()
	grid := plotter.NewGrid()
	grid.Vertical.Width = 0
	p.Add(grid)
	cellWidth := vg.Points(max(18*float64(len(names)), 60))
	width := cellWidth * 0.8 / vg.Length(max(len(names), 1))
	for i, name := range names {
		offset := width * vg.Length(float64(i)-float64(len(names)-1)/2)
		if err := r.addBars(p, cells, name, palette[i%len(palette)], width, offset); err != nil {
			return err
		}
	}
	labels := make([]string, len(cells))
	for i, c := range cells {
		labels[i] = c.String()
	}
	p.NominalX(labels...)
	// The legend stands beside the bars, not on them.
	const legend = 150
	p.X.Min, p.X.Max = -0.5, float64(len(cells))-0.5+legend/cellWidth.Points()
	p.Legend.XOffs = cellWidth * vg.Length(len(cells))
	return p.Save(cellWidth*vg.Length(len(cells))+vg.Points(legend+60), vg.Points(320), path)
}

// contenders are all but the ceiling, which would be a row of ones.
func (r Run) contenders() []string {
	var names []string
	for _, t := range r.Rounds {
		if t.Candidate != references[0] && !slices.Contains(names, t.Candidate) {
			names = append(names, t.Candidate)
		}
	}
	return names
}

func (r Run) addBars(p *plot.Plot, cells []Cell, name string, fill color.Color, width, offset vg.Length) error {
	ratios := make([]stats.Spread, len(cells))
	values := make(plotter.Values, len(cells))
	for i, c := range cells {
		ratios[i] = r.ratios(c, name, references[0])
		values[i] = ratios[i].Median
	}
	bars, err := plotter.NewBarChart(values, width)
	if err != nil {
		return fmt.Errorf("drawing %s: %w", name, err)
	}
	bars.Color, bars.LineStyle.Width, bars.Offset = fill, 0, offset
	p.Add(bars, ranges{ratios, offset})
	p.Legend.Add(name, bars)
	return nil
}
