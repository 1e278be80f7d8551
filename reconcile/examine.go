package reconcile

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/capture-worker/capture-worker/capture"
)

// HaltError ends a batch or a release: the gateway refuses our signature or user
// and would refuse every query.
type HaltError struct{ Answer capture.Answer }

func (e *HaltError) Error() string {
	what := "signature: check gateway.secret_key"
	if e.Answer.Code == capture.CodeUser {
		what = "user: check gateway.user"
	}
	return fmt.Sprintf("the gateway refuses our %s (code %s)", what, e.Answer.Code)
}

// The backoff between queries about one trade without a useful answer.
const (
	retryInitial = time.Second
	retryMax     = 15 * time.Second
)

// Trades returns an item for each trade_id of a walk over the ledger, such as
// ledger.TradesWith returns.
func Trades(walk iter.Seq2[string, error]) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for id, err := range walk {
			if !yield(Item{TradeID: id}, err) {
				return
			}
		}
	}
}

// Items returns a list as the input of [Batch.Run].
func Items(items ...Item) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for _, item := range items {
			if !yield(item, nil) {
				return
			}
		}
	}
}

// examine returns the verdict on one item. An error ends the run.
func (r *batchRun) examine(n numbered) (Verdict, error) {
	v := Verdict{Item: n.Item, Position: n.at, Deadline: n.CaptureBefore}
	if !capture.ValidTradeID(n.TradeID) {
		v.Kind, v.Why = KindUnknown, "not a valid trade_id: use 1 to 64 characters of A-Z a-z 0-9 _ -"
		return v, nil
	}
	recorder := r.Resolver.Recorder
	trade, err := recorder.Open(r.ctx, n.TradeID)
	if err != nil {
		return r.ledgerFailed(v, err)
	}
	v.State = trade.State
	if r.Select != nil && !r.Select(n.Item, trade.State) {
		v.Kind, v.Why = KindSkipped, "not selected"
		return v, nil
	}
	finding, tries, err := r.ask(trade.GatewayID(n.TradeID))
	v.Answer, v.Tries, v.asked = finding.Answer, tries, finding.Asked
	if errors.Is(err, ErrGatewayDown) {
		r.gaveUp.CompareAndSwap(nil, &err)
		v.Kind, v.Unasked, v.Why = KindUnknown, true, "not asked: "+err.Error()
		return v, nil
	}
	if err != nil {
		return v, err
	}
	r.judge(&v)
	if !v.Kind.Difference() && v.Event == nil {
		return v, nil
	}
	// The first read may lag, and others may have written since: read again before
	// a difference is reported.
	if trade, err = recorder.Reopen(r.ctx, n.TradeID); err != nil {
		return r.ledgerFailed(v, err)
	}
	v.State = trade.State
	r.judge(&v)
	return r.record(v, trade)
}

// judge fills in what follows from the answer and the state of the trade.
func (r *batchRun) judge(v *Verdict) {
	recorder := r.Resolver.Recorder
	now, window := recorder.Clock(), recorder.Policy.OrDefault().Window
	v.Kind, v.Why = Compare(v.Item, v.State, v.Answer, now, Horizon{Window: window, Expiring: r.Expiring})
	v.Deadline = deadlineOf(v.Item, v.State, v.Answer, now, window)
	v.Event = nil
	if v.State.Events == 0 {
		return
	}
	if e := capture.Judge(&v.State, nil, v.finding(), now, recorder.Policy); e != nil && e.Type.Outcome() {
		v.Event = e
	}
}

func (v *Verdict) finding() capture.Finding {
	return capture.Finding{Via: capture.ViaQuery, Answer: v.Answer, Asked: v.asked}
}

// record writes the outcome that follows, if the batch updates the ledger.
func (r *batchRun) record(v Verdict, trade *Trade) (Verdict, error) {
	if v.Event == nil || !r.UpdateKnown {
		return v, nil
	}
	_, event, err := r.Resolver.Recorder.Apply(r.ctx, trade, nil, new(v.finding()))
	switch {
	case err != nil && r.ctx.Err() != nil:
		return v, context.Cause(r.ctx)
	case err != nil:
		v.Err = err
		v.Why += "; it could not be written to the ledger: " + err.Error()
		return v, nil
	}
	if v.Event = event; event != nil && event.Type.Outcome() {
		v.Written = true
		v.Why += "; written to the ledger: " + string(event.Type)
	}
	return v, nil
}

// ledgerFailed returns the verdict for an item whose ledger could not be used, or
// the error that ended the run.
func (r *batchRun) ledgerFailed(v Verdict, err error) (Verdict, error) {
	if r.ctx.Err() != nil {
		return v, context.Cause(r.ctx)
	}
	v.Kind, v.Err = KindUnknown, err
	v.Why = "the ledger could not be used: " + err.Error()
	return v, nil
}

// ask queries a trade until there is a useful answer, at most Tries times.
func (r *batchRun) ask(tradeID string) (found capture.Finding, tries int, err error) {
	retry := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(retryInitial), backoff.WithMaxInterval(retryMax), backoff.WithMaxElapsedTime(0))
	for tries = 1; ; tries++ {
		if found, err = r.askOnce(tradeID); err != nil || useful(found.Answer) || tries >= r.Tries {
			return found, tries, err
		}
		if err = sleep(r.ctx, retry.NextBackOff()); err != nil {
			return found, tries, err
		}
	}
}

func (r *batchRun) askOnce(tradeID string) (capture.Finding, error) {
	if err := r.breaker.acquire(r.ctx); err != nil {
		return capture.Finding{}, err
	}
	if err := r.limiter.Wait(r.ctx); err != nil {
		return capture.Finding{}, endOf(r.ctx, err)
	}
	found := r.Resolver.Recorder.Ask(r.ctx, r.Resolver.Query, tradeID)
	answer := found.Answer
	if r.ctx.Err() != nil && !useful(answer) {
		return found, context.Cause(r.ctx)
	}
	r.breaker.observe(answer)
	if answer.OurFault() {
		return found, &HaltError{Answer: answer}
	}
	if useful(answer) {
		r.answered.Store(&tradeID)
	}
	return found, nil
}

// probe asks about a trade that had a useful answer before, or about
// capture.ProbeTradeID, which the gateway refuses as unknown.
func (r *batchRun) probe(ctx context.Context) capture.Answer {
	if r.limiter.Wait(ctx) != nil {
		return capture.Answer{Kind: capture.AnswerNotSent}
	}
	id := capture.ProbeTradeID
	if known := r.answered.Load(); known != nil {
		id = *known
	}
	return r.Resolver.Query(ctx, id)
}

// endOf returns the reason for the end of a run. The limiter returns an error of
// its own for a wait beyond the deadline of ctx.
func endOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return errors.Join(context.DeadlineExceeded, err)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
