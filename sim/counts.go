package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// accidentKinds in the order of their counts.
var accidentKinds = [...]accidentKind{crash, freeze, stopGently, outage, badKey}

func (k accidentKind) index() int {
	for i, other := range accidentKinds {
		if k == other {
			return i
		}
	}
	return 0
}

// Counts are sums over histories.
type Counts struct {
	Histories   int
	Events      int
	Jobs        int
	Calls       int // capture calls
	Conflicts   int // jobs dead-lettered as conflict
	Crossed     int // legs of boundary crossings
	Crashes     int
	Crossings   [boundaries]int
	CrashPoints [boundaries]int // planned crashes, by boundary
	Faults      [faultCount]int
	Accidents   [len(accidentKinds)]int
	Captured    int
	Failed      int
	Parked      int
	Corrected   int
	LeftOpen    int            // trades that an overtaken delivery opened again
	Rows        map[string]int // of the tables of package capture: how often each decided
	Settling    time.Duration  // the longest time to settle once faults had stopped
}

// row counts a row of the tables that decided something.
func (c *Counts) row(name string) {
	if name == "" {
		return
	}
	if c.Rows == nil {
		c.Rows = map[string]int{}
	}
	c.Rows[name]++
}

func (c *Counts) outcome(e capture.Event) {
	switch e.Type {
	case capture.Captured:
		c.Captured++
	case capture.Failed:
		c.Failed++
	case capture.Parked:
		c.Parked++
	}
	if e.Corrects != "" {
		c.Corrected++
	}
}

// Add adds the sums of other histories.
func (c *Counts) Add(o Counts) {
	c.Histories += o.Histories
	c.Events += o.Events
	c.Jobs += o.Jobs
	c.Calls += o.Calls
	c.Conflicts += o.Conflicts
	c.Crossed += o.Crossed
	c.Crashes += o.Crashes
	c.Captured += o.Captured
	c.Failed += o.Failed
	c.Parked += o.Parked
	c.Corrected += o.Corrected
	c.LeftOpen += o.LeftOpen
	c.Settling = max(c.Settling, o.Settling)
	if c.Rows == nil {
		c.Rows = map[string]int{}
	}
	for name, n := range o.Rows {
		c.Rows[name] += n
	}
	for i := range c.Crossings {
		c.Crossings[i] += o.Crossings[i]
		c.CrashPoints[i] += o.CrashPoints[i]
	}
	for i := range c.Faults {
		c.Faults[i] += o.Faults[i]
	}
	for i := range c.Accidents {
		c.Accidents[i] += o.Accidents[i]
	}
}

// Table writes the sums for people.
func (c Counts) Table() string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(name string, n int) { fmt.Fprintf(t, "%s\t%d\n", name, n) }
	row("histories", c.Histories)
	row("jobs", c.Jobs)
	row("capture calls", c.Calls)
	row("outcomes captured", c.Captured)
	row("outcomes failed", c.Failed)
	row("outcomes parked", c.Parked)
	row("outcomes corrected", c.Corrected)
	row("trades left open by an overtaken delivery", c.LeftOpen)
	row("jobs in conflict", c.Conflicts)
	row("boundaries crossed, both ways", c.Crossed)
	row("crashes", c.Crashes)
	for i, n := range c.CrashPoints {
		if n > 0 {
			row("  crash points at "+boundaryNames[i], n)
		}
	}
	for i, k := range accidentKinds {
		row("accidents: "+string(k), c.Accidents[i])
	}
	faults := 0
	for _, n := range c.Faults {
		faults += n
	}
	row("faults met", faults)
	for f := NoFault + 1; f < faultCount; f++ {
		row("  "+f.String(), c.Faults[f])
	}
	fmt.Fprintln(t, "rows of the state machine that decided\t")
	for _, name := range slices.Sorted(maps.Keys(c.Rows)) {
		row("  "+name, c.Rows[name])
	}
	fmt.Fprintf(t, "longest way to settle after the last fault\t%s\n", c.Settling.Round(time.Second))
	t.Flush()
	return b.String()
}
