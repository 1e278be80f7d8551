package worker

import (
	"context"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/reconcile"
)

const (
	// rereadAfter is the time after which a job reads its trade again if another
	// delivery has a call in progress: the answer mostly comes long before the
	// lease ends.
	rereadAfter = 2 * time.Second
	// freshPace is the assumed duration of a job; maxYield is the longest time for
	// which a refused trade gives way to new jobs before it is read again.
	freshPace = 10 * time.Millisecond
	maxYield  = 2 * time.Minute
)

// open reads the trade. The first delivery of a job is almost always the first of
// its trade, so nothing is read: the first append expects a trade without events,
// and after a conflict the trade is read. If the job's window is over, the trade is
// read, because the job begins with a query, which has no guard, and most such
// trades have ended.
func (p *Processor) open(ctx context.Context, job *capture.Job, first bool) (*reconcile.Trade, error) {
	key := capture.TradeKey(job.TradeID)
	deadline := job.Deadline(p.Recorder.Policy.OrDefault().Window)
	if first && (deadline.IsZero() || p.Recorder.Clock().Before(deadline)) {
		return &reconcile.Trade{ID: key}, nil
	}
	return p.Recorder.Open(ctx, key)
}

// decide returns the next step. If the step ends the job and the read may lag
// behind the ledger, the trade is read again first.
func (p *Processor) decide(ctx context.Context, trade *reconcile.Trade, job *capture.Job, policy capture.Policy) (_ *reconcile.Trade, step capture.Step, err error) {
	for err == nil {
		step = capture.Decide(&trade.State, job, p.Recorder.Clock(), policy)
		if trade.MayLag && mayBeUndone(&trade.State, &step) {
			trade, err = p.Recorder.Reopen(ctx, trade.ID)
			continue
		}
		break
	}
	return trade, step, err
}

// mayBeUndone reports whether the job would end because of an outcome that a
// release or another request may have replaced since the trade was read. Captured
// is never replaced.
func mayBeUndone(s *capture.State, step *capture.Step) bool {
	ends := step.Do == capture.DoAck || step.Do == capture.DoConflict
	return ends && s.Phase != capture.PhaseCaptured
}

// nextRead returns when a waiting job reads its trade again, and whether it may
// wait inside the worker. A refused trade gives way to new jobs, because the broker
// prefers redeliveries: otherwise ten thousand dead authorizations, each queried
// twice, would be processed before every new job.
func (p *Processor) nextRead(s *capture.State, until time.Time, fresh int) (at time.Time, inside bool) {
	now := p.Recorder.Clock()
	if soon := now.Add(rereadAfter); s.Unanswered && now.Before(s.LeaseUntil) && soon.Before(until) {
		until = soon
	}
	if fresh == 0 || s.Unanswered || s.Answer.Refusal() == "" {
		return until, true
	}
	yield := now.Add(min(time.Duration(min(fresh, 1_000_000))*freshPace, maxYield))
	if yield.After(until) {
		return yield, false
	}
	return until, true
}
