package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// ErrUnknownTrade is returned for a trade that has no events in the ledger.
var ErrUnknownTrade = errors.New("the ledger does not know this trade")

// Query asks Order Query about a trade; gateway.Client.Query is one.
type Query func(ctx context.Context, tradeID string) capture.Answer

// Ask calls query and returns the answer with the time it was asked.
func (r *Recorder) Ask(ctx context.Context, query Query, tradeID string) capture.Finding {
	asked := r.Clock()
	return capture.Finding{Via: capture.ViaQuery, Asked: asked, Answer: query(ctx, tradeID)}
}

// Result is the result of asking about one trade.
type Result struct {
	Before capture.State  // the state in the ledger before
	Answer capture.Answer // of Order Query
	// Event is the outcome or evidence that follows from the answer, nil if none
	// does. Resolve has written it, Look has not.
	Event *capture.Event
	After capture.State // the state after Event
}

// Settled reports whether the trade has an outcome after the query.
func (r Result) Settled() bool { return r.After.Outcome != nil }

// Changed reports whether the query led to a new outcome.
func (r Result) Changed() bool { return r.Event != nil && r.Event.Type.Outcome() }

// Resolver asks Order Query about trades that the ledger knows. Recorder and
// Query must be set.
type Resolver struct {
	Recorder *Recorder
	Query    Query
	// Excused reports whether the job intake is paused for a fault of ours:
	// refusals do not count against a trade then. nil is never.
	Excused func() bool
	// MayFail reports whether a trade may be failed for what the gateway refuses
	// with that code since that time (rule 9). nil is always.
	MayFail func(ctx context.Context, code string, since time.Time) bool
}

func (r *Resolver) check(name string) error {
	switch {
	case r == nil:
		return notSet(name)
	case r.Query == nil:
		return notSet(name + ".Query")
	}
	return r.Recorder.check(name + ".Recorder")
}

func (r *Resolver) ask(ctx context.Context, trade *Trade, asked string) capture.Finding {
	finding := r.Recorder.Ask(ctx, r.Query, trade.GatewayID(asked))
	finding.Excused = r.Excused != nil && r.Excused()
	if code, since := r.Recorder.FailsBy(trade, nil, finding); code != "" && r.MayFail != nil && !r.MayFail(ctx, code, since) {
		finding.Excused = true
	}
	return finding
}

// Look asks Order Query about a trade and returns what follows. It writes
// nothing. The error is the ledger's, or wraps [ErrUnknownTrade] or [ErrNotSet];
// a failed query is an Answer, not an error.
func (r *Resolver) Look(ctx context.Context, tradeID string) (Result, error) {
	trade, err := r.known(ctx, tradeID)
	if err != nil {
		return Result{}, err
	}
	finding := r.ask(ctx, trade, tradeID)
	result := Result{Before: trade.State, After: trade.State, Answer: finding.Answer}
	result.Event = capture.Judge(&trade.State, nil, finding, r.Recorder.Clock(), r.Recorder.Policy)
	if result.Event != nil {
		result.After.Add(result.Event)
	}
	return result, nil
}

// Resolve asks Order Query about a trade and appends what follows to the ledger.
// It ignores the trade's own schedule. It may correct the outcome of a parked or
// failed trade, and never changes a captured one. Errors are as in Look.
func (r *Resolver) Resolve(ctx context.Context, tradeID string) (Result, error) {
	trade, err := r.known(ctx, tradeID)
	if err != nil {
		return Result{}, err
	}
	finding := r.ask(ctx, trade, tradeID)
	result := Result{Before: trade.State, Answer: finding.Answer}
	trade, result.Event, err = r.Recorder.Apply(ctx, trade, nil, &finding)
	result.After = trade.State
	return result, err
}

func (r *Resolver) known(ctx context.Context, tradeID string) (*Trade, error) {
	if err := r.check("reconcile.Resolver"); err != nil {
		return nil, err
	}
	trade, err := r.Recorder.Open(ctx, tradeID)
	if err == nil && trade.State.Events == 0 {
		err = fmt.Errorf("trade %s: %w", tradeID, ErrUnknownTrade)
	}
	return trade, err
}
