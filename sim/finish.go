package sim

import (
	"time"

	"github.com/capture-worker/capture-worker/audit"
	"github.com/capture-worker/capture-worker/capture"
)

// finish looks at what is left when nothing happens any more.
func (s *Sim) finish() {
	if s.found != nil {
		return
	}
	s.Counts.Settling = max(s.Counts.Settling, s.settledAt-max(s.plan.FaultsEnd, s.published))
	if s.plan.Wild {
		// Truth may come late (rule 11): a reconcile over all trades brings it.
		s.now = max(s.now, s.plan.FaultsEnd)
		for i := range s.plan.Trades {
			s.look(s.name(i))
		}
		s.play()
	}
	for _, m := range s.queue.messages {
		if !m.settled {
			s.breach("liveness", "%s is never settled", m.name)
		}
	}
	for i, a := range s.bank.accounts {
		s.checkEnd(i, a)
	}
}

// checkEnd compares a trade's ledger with the truth.
func (s *Sim) checkEnd(trade int, a *account) {
	events := s.book.events[trade]
	s.checkAudit(trade)
	job, asked := onlyJob(a.plan)
	last := standing(events)
	switch {
	case !asked && len(events) == 0:
		return
	case last == nil:
		s.breach("liveness", "%s has no outcome", a.plan.ID)
		return
	case !a.plan.Taken.IsZero():
		return // another hand took it: checkOutcome has compared the sums
	}
	truth := audit.Truth{TradeID: a.plan.ID, State: a.state(s.now)}
	for _, e := range a.taken {
		truth.Captures = append(truth.Captures, audit.Capture{Amount: e.amount, RequestID: e.id, At: epoch.Add(e.at)})
	}
	for _, v := range audit.Compare(events, truth, job) {
		s.breach(v.Rule, "%s", v)
	}
}

// onlyJob is the job of a trade whose jobs all ask the same; nil where they
// differ. asked is false where no readable job names the trade.
func onlyJob(t *TradePlan) (only *capture.Job, asked bool) {
	for _, j := range t.Jobs {
		if j.Malformed != "" {
			continue
		}
		if asked && (only == nil || only.Amount != j.Job.Amount) {
			return nil, true
		}
		only, asked = &j.Job, true
	}
	return only, asked
}

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
	Settling    time.Duration // the longest time to settle once faults had stopped
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
	c.Settling = max(c.Settling, o.Settling)
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
