package worker

import (
	"context"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/reconcile"
)

const (
	// rereadAfter is how soon a job reads a trade again that another delivery is
	// calling the gateway for: the answer mostly comes long before the lease ends.
	rereadAfter = 2 * time.Second
	// freshPace is how long a job is assumed to need, and maxYield how long a
	// refused trade gives way to fresh jobs, at most, each time it would be read.
	freshPace = 10 * time.Millisecond
	maxYield  = 2 * time.Minute
)

// open reads the trade. The first delivery of a job is almost always the first of
// its trade, so nothing is read: the first append expects an empty ledger, and if
// it is not, the conflict brings the truth. A job whose window is over begins with
// a query instead, which nothing guards: most are of trades that have ended.
func (p *Processor) open(ctx context.Context, job *capture.Job, first bool) (*reconcile.Trade, error) {
	key := capture.TradeKey(job.TradeID)
	deadline := job.Deadline(p.Recorder.Policy.OrDefault().Window)
	if first && (deadline.IsZero() || p.Recorder.Clock().Before(deadline)) {
		return &reconcile.Trade{ID: key}, nil
	}
	return p.Recorder.Open(ctx, key)
}

// decide returns the next step. If the job would end on a read that may lag behind
// the ledger, the trade is read again first.
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

// mayBeUndone reports whether the job would end because of an outcome that may
// have been undone, by a release or another request, since the trade was read.
// Captured never is.
func mayBeUndone(s *capture.State, step *capture.Step) bool {
	ends := step.Do == capture.DoAck || step.Do == capture.DoConflict
	return ends && s.Phase != capture.PhaseCaptured
}

// nextRead returns when a job that has to wait reads its trade again, and whether
// it may wait inside the worker for that.
//
// A refused trade gives way to fresh jobs. The broker delivers what waits before
// what is fresh: ten thousand dead authorizations, each queried twice, would come
// before every healthy job behind them.
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
