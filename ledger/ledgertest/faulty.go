package ledgertest

import (
	"context"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
)

// Op names a method of the ledger.
type Op string

// The operations that can be made to fail.
const (
	OpAppend     Op = "append"
	OpLoad       Op = "load"
	OpLoadLatest Op = "load latest"
	OpLast       Op = "last"
)

// Call is one call of the ledger.
type Call struct {
	Op      Op
	TradeID string
	Event   capture.Event // of OpAppend
	After   uint64        // of OpAppend
}

// Faulty is a ledger that fails where it is told to. It starts nothing and
// waits for nothing: what happens depends on the hooks alone. Hooks may be
// called concurrently where the ledger is.
type Faulty struct {
	ledger.Ledger
	// Before is asked first: on an error nothing is done and the error is
	// returned ("not done").
	Before func(Call) error
	// After is asked when it was done: an error is returned in place of the
	// result ("done, but reported failed"). It is not asked where the ledger
	// itself failed.
	After func(Call) error
}

// Append fails as told.
func (f Faulty) Append(ctx context.Context, e capture.Event, after uint64, opts ...ledger.AppendOption) (uint64, error) {
	return run(f, Call{OpAppend, e.TradeID, e, after}, func() (uint64, error) {
		return f.Ledger.Append(ctx, e, after, opts...)
	})
}

// Load fails as told.
func (f Faulty) Load(ctx context.Context, tradeID string) (ledger.Trade, error) {
	return run(f, Call{Op: OpLoad, TradeID: tradeID}, func() (ledger.Trade, error) {
		return f.Ledger.Load(ctx, tradeID)
	})
}

// LoadLatest fails as told.
func (f Faulty) LoadLatest(ctx context.Context, tradeID string) (ledger.Trade, error) {
	return run(f, Call{Op: OpLoadLatest, TradeID: tradeID}, func() (ledger.Trade, error) {
		return f.Ledger.LoadLatest(ctx, tradeID)
	})
}

// Last fails as told.
func (f Faulty) Last(ctx context.Context, tradeID string) (ledger.Entry, bool, error) {
	found := false
	entry, err := run(f, Call{Op: OpLast, TradeID: tradeID}, func() (e ledger.Entry, err error) {
		e, found, err = f.Ledger.Last(ctx, tradeID)
		return e, err
	})
	return entry, found && err == nil, err
}

func run[T any](f Faulty, c Call, do func() (T, error)) (T, error) {
	var none T
	if f.Before != nil {
		if err := f.Before(c); err != nil {
			return none, err
		}
	}
	got, err := do()
	if err != nil || f.After == nil {
		return got, err
	}
	if err := f.After(c); err != nil {
		return none, err
	}
	return got, nil
}
