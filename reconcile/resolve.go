package reconcile

import (
	"context"
	"errors"
	"fmt"

	"github.com/capture-worker/capture-worker/capture"
)

// ErrUnknownTrade is returned for a trade of which the ledger holds nothing.
var ErrUnknownTrade = errors.New("the ledger holds nothing of this trade")

// Query asks Order Query about a trade, as gateway.Client.Query does.
type Query func(ctx context.Context, tradeID string) capture.Answer

// Ask asks Order Query, and remembers when.
func (c *Clerk) Ask(ctx context.Context, query Query, tradeID string) capture.Finding {
	asked := c.Clock()
	return capture.Finding{Via: capture.ViaQuery, Asked: asked, Answer: query(ctx, tradeID)}
}

// Result is what one look at a trade brought.
type Result struct {
	Before capture.State  // as the ledger had it
	Answer capture.Answer // what Order Query said
	// Event is what follows from the answer by the tables of package capture:
	// an outcome, or evidence. It is nil where nothing follows. Resolve has
	// written it, Look has not.
	Event *capture.Event
	After capture.State // as the ledger has it now, or would have it
}

// Settled reports whether the trade has an outcome after the look.
func (r Result) Settled() bool { return r.After.Outcome != nil }

// Changed reports whether the look brings an outcome that was not there.
func (r Result) Changed() bool { return r.Event != nil && r.Event.Type.Outcome() }

// Resolver asks about trades that the ledger knows. Clerk and Query must be set.
type Resolver struct {
	Clerk *Clerk
	Query Query
	// Excused reports, if set, whether the intake of jobs is paused for a fault of
	// ours: what is refused then is not held against a trade.
	Excused func() bool
}

func (r *Resolver) ask(ctx context.Context, trade *Trade, askedFor string) capture.Finding {
	finding := r.Clerk.Ask(ctx, r.Query, trade.GatewayID(askedFor))
	finding.Excused = r.Excused != nil && r.Excused()
	return finding
}

// Look asks Order Query about a trade and says what follows. It writes
// nothing. The error is the ledger's, or wraps ErrUnknownTrade; an Order Query
// that fails is an Answer like any other.
func (r *Resolver) Look(ctx context.Context, tradeID string) (Result, error) {
	trade, err := r.known(ctx, tradeID)
	if err != nil {
		return Result{}, err
	}
	finding := r.ask(ctx, trade, tradeID)
	result := Result{Before: trade.State, After: trade.State, Answer: finding.Answer}
	if result.Event = capture.Judge(&trade.State, nil, finding, r.Clerk.Clock(), r.Clerk.Policy); result.Event != nil {
		result.After.Add(result.Event)
	}
	return result, nil
}

// Resolve asks Order Query about a trade and appends what follows to the
// ledger, at once, whatever the trade's schedule says: who calls it has a
// reason. A parked or failed trade may be corrected by it; a captured one
// never changes.
func (r *Resolver) Resolve(ctx context.Context, tradeID string) (Result, error) {
	trade, err := r.known(ctx, tradeID)
	if err != nil {
		return Result{}, err
	}
	finding := r.ask(ctx, trade, tradeID)
	result := Result{Before: trade.State, Answer: finding.Answer}
	trade, result.Event, err = r.Clerk.Learn(ctx, trade, nil, finding)
	result.After = trade.State
	return result, err
}

func (r *Resolver) known(ctx context.Context, tradeID string) (*Trade, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	trade, err := r.Clerk.Open(ctx, tradeID)
	if err == nil && trade.State.Events == 0 {
		err = fmt.Errorf("trade %s: %w", tradeID, ErrUnknownTrade)
	}
	return trade, err
}
