package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/capture-worker/capture-worker/audit"
	"github.com/capture-worker/capture-worker/capture"
)

// accidentKinds in the order of their counts.
var accidentKinds = [...]accidentKind{crash, freeze, stopGently, outage, badKey, foreign, refusal, restore}

func (k accidentKind) index() int {
	for i, other := range accidentKinds {
		if k == other {
			return i
		}
	}
	return 0
}

// Counts holds counts over histories.
type Counts struct {
	Histories   int
	Events      int
	Jobs        int
	Calls       int // capture calls
	Conflicts   int // jobs dead-lettered as conflict
	Crossed     int // boundary crossings, counted in each direction
	Crashes     int
	Crossings   [boundaries]int
	CrashPoints [boundaries]int // planned crashes, by boundary
	Faults      [faultCount]int
	Accidents   [len(accidentKinds)]int
	Captured    int
	Failed      int
	Parked      int
	Corrected   int
	LeftOpen    int            // trades that are open in a restored ledger although their jobs are done
	Trades      int            // at the end
	ParkedOnce  int            // of the trades: parked at some time
	ParkedLast  int            // and still parked
	FailedLast  int            // failed at the end
	FailedPaid  int            // of the failed ones: paid
	Twice       int            // captured twice
	Broken      map[string]int // broken rules, of plans that measure
	Rows        map[string]int // how often each row of the tables of package capture decided
	Settling    time.Duration  // the longest time to settle once faults had stopped
}

// row counts a decision by a row of the tables.
func (c *Counts) row(name string) {
	if name == "" {
		return
	}
	if c.Rows == nil {
		c.Rows = map[string]int{}
	}
	c.Rows[name]++
}

// trade counts the end of a trade.
func (c *Counts) trade(events []capture.Event, taken int) {
	c.Trades++
	if taken > 1 {
		c.Twice++
	}
	if slices.ContainsFunc(events, func(e capture.Event) bool { return e.Type == capture.Parked }) {
		c.ParkedOnce++
	}
	last := audit.Standing(events)
	switch {
	case last == nil:
	case last.Type == capture.Parked:
		c.ParkedLast++
	case last.Type == capture.Failed:
		c.FailedLast++
		if taken > 0 {
			c.FailedPaid++
		}
	}
}

func (c *Counts) broken(rule string) {
	if c.Broken == nil {
		c.Broken = map[string]int{}
	}
	c.Broken[rule]++
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

// Add adds the counts of other histories.
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
	c.Trades += o.Trades
	c.ParkedOnce += o.ParkedOnce
	c.ParkedLast += o.ParkedLast
	c.FailedLast += o.FailedLast
	c.FailedPaid += o.FailedPaid
	c.Twice += o.Twice
	c.Settling = max(c.Settling, o.Settling)
	c.Rows, c.Broken = added(c.Rows, o.Rows), added(c.Broken, o.Broken)
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

func added(to, from map[string]int) map[string]int {
	if to == nil {
		to = map[string]int{}
	}
	for name, n := range from {
		to[name] += n
	}
	return to
}

// trades writes the counts of trades.
func (c Counts) trades(row func(name string, n int)) {
	row("trades", c.Trades)
	row("trades parked at some time", c.ParkedOnce)
	row("trades parked at the end", c.ParkedLast)
	row("trades failed at the end", c.FailedLast)
	row("trades failed at the end, though paid", c.FailedPaid)
	row("trades captured twice", c.Twice)
	row("trades left open by a restored ledger", c.LeftOpen)
	for _, rule := range slices.Sorted(maps.Keys(c.Broken)) {
		row("broken: rule "+rule, c.Broken[rule])
	}
}

// Table writes the counts as a table.
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
	c.trades(row)
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
	fmt.Fprintf(t, "longest time to settle after the last fault\t%s\n", c.Settling.Round(time.Second))
	t.Flush()
	return b.String()
}
