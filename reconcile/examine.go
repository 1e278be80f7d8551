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

// HaltError ends a batch: the gateway refuses our signature or our user, and
// would refuse every query.
type HaltError struct{ Answer capture.Answer }

func (e *HaltError) Error() string {
	what := "signature: check gateway.secret_key"
	if e.Answer.Code == capture.CodeUser {
		what = "user: check gateway.user"
	}
	return fmt.Sprintf("the gateway refuses our %s (code %s)", what, e.Answer.Code)
}

// Waits between the queries of one trade that told nothing.
const (
	againFirst = time.Second
	againMost  = 15 * time.Second
)

// Trades makes items of a walk over the ledger.
func Trades(walk iter.Seq2[string, error]) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for id, err := range walk {
			if !yield(Item{TradeID: id}, err) {
				return
			}
		}
	}
}

// Items makes an input of a list.
func Items(items ...Item) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for _, item := range items {
			if !yield(item, nil) {
				return
			}
		}
	}
}

// examine looks at one item. An error ends the run.
func (r *batchRun) examine(n numbered) (Verdict, error) {
	v := Verdict{Item: n.Item, Position: n.at, Deadline: n.CaptureBefore}
	if !capture.ValidTradeID(n.TradeID) {
		v.Kind, v.Why = KindUnknown, "not a trade id: one is 1 to 64 of A-Z a-z 0-9 _ -"
		return v, nil
	}
	clerk := r.Resolver.Clerk
	trade, err := clerk.Open(r.ctx, n.TradeID)
	if err != nil {
		return r.noLedger(v, err)
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
	// Others may have written while we asked, and a read may lag: nobody is
	// alarmed before the latest was read.
	if trade, err = clerk.reopen(r.ctx, n.TradeID); err != nil {
		return r.noLedger(v, err)
	}
	v.State = trade.State
	r.judge(&v)
	return r.keep(v, trade)
}

// judge fills in what follows from the answer and the ledger as it was read.
func (r *batchRun) judge(v *Verdict) {
	clerk := r.Resolver.Clerk
	now, window := clerk.Clock(), clerk.Policy.OrDefault().Window
	v.Kind, v.Why = Compare(v.Item, v.State, v.Answer, now, Horizon{Window: window, Expiring: r.Expiring})
	v.Deadline = deadlineOf(v.Item, v.State, v.Answer, now, window)
	v.Event = nil
	if v.State.Events == 0 {
		return
	}
	if e := capture.Judge(&v.State, nil, v.finding(), now, clerk.Policy); e != nil && e.Type.Outcome() {
		v.Event = e
	}
}

func (v *Verdict) finding() capture.Finding {
	return capture.Finding{Via: capture.ViaQuery, Answer: v.Answer, Asked: v.asked}
}

// keep writes the outcome that follows, where it is to be written.
func (r *batchRun) keep(v Verdict, trade *Trade) (Verdict, error) {
	if v.Event == nil || !r.Write {
		return v, nil
	}
	_, event, err := r.Resolver.Clerk.Learn(r.ctx, trade, nil, v.finding())
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
		v.Why += "; written to the ledger now: " + string(event.Type)
	}
	return v, nil
}

// noLedger tells trouble of the ledger from the end of the run.
func (r *batchRun) noLedger(v Verdict, err error) (Verdict, error) {
	if r.ctx.Err() != nil {
		return v, context.Cause(r.ctx)
	}
	v.Kind, v.Err = KindUnknown, err
	v.Why = "the ledger could not be used: " + err.Error()
	return v, nil
}

// ask asks Order Query until it tells something, a few times.
func (r *batchRun) ask(tradeID string) (found capture.Finding, tries int, err error) {
	again := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(againFirst), backoff.WithMaxInterval(againMost), backoff.WithMaxElapsedTime(0))
	for tries = 1; ; tries++ {
		if found, err = r.askOnce(tradeID); err != nil || told(found.Answer) || tries >= r.Tries {
			return found, tries, err
		}
		if err = sleep(r.ctx, again.NextBackOff()); err != nil {
			return found, tries, err
		}
	}
}

func (r *batchRun) askOnce(tradeID string) (capture.Finding, error) {
	if err := r.brake.enter(r.ctx); err != nil {
		return capture.Finding{}, err
	}
	if err := r.limiter.Wait(r.ctx); err != nil {
		return capture.Finding{}, endOf(r.ctx, err)
	}
	found := r.Resolver.Clerk.Ask(r.ctx, r.Resolver.Query, tradeID)
	answer := found.Answer
	if r.ctx.Err() != nil && !told(answer) {
		return found, context.Cause(r.ctx)
	}
	r.brake.leave(answer)
	if answer.OurFault() {
		return found, &HaltError{Answer: answer}
	}
	if told(answer) {
		r.told.Store(&tradeID)
	}
	return found, nil
}

// probeTrade is asked about if no trade of the batch has told anything yet. The
// gateway does not know it and says so.
const probeTrade = "capture-worker-probe"

// probe asks about a trade that told something before.
func (r *batchRun) probe(ctx context.Context) capture.Answer {
	if r.limiter.Wait(ctx) != nil {
		return capture.Answer{Kind: capture.AnswerNotSent}
	}
	id := probeTrade
	if known := r.told.Load(); known != nil {
		id = *known
	}
	return r.Resolver.Query(ctx, id)
}

// endOf is why the run ends. The limiter has an error of its own for a wait
// that would outlast the deadline of ctx.
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
