package sim

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// planJobs plans the n-th job of a trade, and perhaps the same message again,
// because publishers repeat messages.
func (p *Plan) planJobs(t TradePlan, n int) []JobPlan {
	d := newDice(p.Seed, onJob, t.No, n)
	job := capture.Job{TradeID: p.spelt(t, d), OrderID: t.order(), Amount: p.ask(t, d, n)}
	// Only a job with the authorized sum lets a worker see from the remaining sum
	// that something was captured.
	if g := p.Gateway; p.firstDice(t).chance(saltKind, .5) || g.ShowRemaining && !g.OneCapture {
		job.AuthorizedAmount = t.Authorized
	}
	job.CaptureBefore = p.deadline(t, d, n)
	job.CaptureID = p.parcel(t, d, n)
	j := jobPlan(job, d.between(saltTime, 0, 2*time.Second))
	if n > 0 {
		soon := 10 * time.Second
		if d.chance(saltHow, .6) {
			soon = 5 * time.Minute
		}
		j.At = d.between(saltTime, 0, min(soon, p.FaultsEnd))
	}
	if above, err := job.Amount.Cmp(t.Authorized); err == nil && above > 0 && !job.AuthorizedAmount.IsZero() {
		j.Malformed = capture.MalformedAmount
	}
	if d.chance(saltShape, .03) {
		j.Malformed, j.Body = malform(d, t.ID)
	}
	jobs := []JobPlan{j}
	if d.chance(saltExtra, .15) {
		again := j
		again.At += d.between(saltBack, 0, time.Minute)
		jobs = append(jobs, again)
	}
	if n > 0 && d.chance(saltLast+2, .3) {
		jobs = append(jobs, p.alternating(t.Jobs, j, d)...)
	}
	return jobs
}

// alternating repeats two jobs of one trade in turn, like two publishers that
// disagree.
func (p *Plan) alternating(earlier []JobPlan, j JobPlan, d dice) []JobPlan {
	if len(earlier) == 0 {
		return nil
	}
	pair, at := []JobPlan{earlier[0], j}, j.At
	var jobs []JobPlan
	for i := range 4 {
		at += d.between(saltLast+3+i, 0, time.Minute)
		again := pair[i%2]
		again.At = at
		jobs = append(jobs, again)
	}
	return jobs
}

// jobPlan returns the plan of a job as a message.
func jobPlan(job capture.Job, at time.Duration) JobPlan {
	body, err := json.Marshal(job)
	if err != nil {
		panic(err) // impossible: every valid job can be encoded
	}
	return JobPlan{At: at, Job: job, Body: body}
}

// spelt returns the trade_id as one job writes it: a UUID in any letter case.
func (p *Plan) spelt(t TradePlan, d dice) string {
	if capture.TradeKey(t.ID) == t.ID {
		return t.ID
	}
	return []string{t.ID, strings.ToLower(t.ID), strings.ToUpper(t.ID)}[d.pick(saltLast, 3)]
}

// order is the shop's order of the trade.
func (t TradePlan) order() string { return fmt.Sprintf("A-%d", t.No+1) }

// parcel is the capture_id of a job. The jobs of few trades have one; of these, the
// second may be of another parcel.
func (p *Plan) parcel(t TradePlan, d dice, n int) string {
	switch {
	case !p.firstDice(t).chance(saltLast, .2):
		return ""
	case n > 0 && d.chance(saltLast+7, .5):
		return "parcel-2"
	}
	return "parcel-1"
}

// firstDice returns the dice that all jobs of a trade share.
func (p *Plan) firstDice(t TradePlan) dice { return newDice(p.Seed, onJob, t.No, 1000) }

// ask returns the requested sum of a job: mostly the authorized sum or a part of
// it, the same in every job of the trade; sometimes too much, or another sum.
func (p *Plan) ask(t TradePlan, d dice, n int) capture.Amount {
	asks := map[string][3]string{
		"EUR": {"24.99 EUR", "19.99 EUR", "31.00 EUR"}, "USD": {"12.00 USD", "9.75 USD", "99.00 USD"},
		"JPY": {"4800 JPY", "100 JPY", "5001 JPY"},
	}[t.Authorized.Currency()]
	first := p.firstDice(t)
	usual := t.Authorized
	if first.chance(saltAmount, .5) {
		usual = sum(asks[0])
	}
	switch u := d.unit(saltAmount); {
	case n == 0 && first.chance(saltMore, .06):
		return sum(asks[2]) // above the authorization
	case n > 0 && u < .3:
		return sum(asks[1])
	case n > 0 && u < .4:
		return sum(asks[2])
	}
	return usual
}

// deadline returns the deadline of a job: mostly one without effect, sometimes one
// that is near or over.
func (p *Plan) deadline(t TradePlan, d dice, n int) time.Time {
	first := p.firstDice(t)
	switch u := first.unit(saltTime); {
	case u < .5, t.Begins == capture.OrderProcessing:
		return time.Time{}
	case u < .7:
		return epoch.Add(first.between(saltLong, 24*time.Hour, 29*24*time.Hour))
	case n > 0 && d.chance(saltLong, .3):
		return epoch.Add(d.between(saltLong, time.Hour, 48*time.Hour)) // a later deadline
	case n > 0 && d.chance(saltLast+1, .3):
		return time.Time{} // no deadline is more time than one that was over
	case u < .95:
		return epoch.Add(first.between(saltLong, 5*time.Second, 6*time.Minute))
	}
	return epoch.Add(-time.Second)
}

// malform returns a malformed message.
func malform(d dice, trade string) (reason string, body []byte) {
	switch d.pick(saltWay, 4) {
	case 0:
		return capture.MalformedNotJSON, []byte(`{"trade_id":`)
	case 1:
		return capture.MalformedMissing, fmt.Appendf(nil, `{"trade_id":%q,"currency":"EUR"}`, trade)
	case 2:
		return capture.MalformedAmount, fmt.Appendf(nil, `{"trade_id":%q,"amount":"-1","currency":"EUR"}`, trade)
	}
	return capture.MalformedDuplicate, fmt.Appendf(nil, `{"trade_id":%q,"amount":"1","amount":"2","currency":"EUR"}`, trade)
}
