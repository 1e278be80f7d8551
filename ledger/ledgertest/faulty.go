package ledgertest

import (
	"context"
	"errors"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
)

// Op names a method of the ledger.
type Op string

// Methods that can be made to fail.
const (
	OpAppend     Op = "append"
	OpLoad       Op = "load"
	OpLoadLatest Op = "load latest"
	OpLast       Op = "last"
)

// Call is one call of a method.
type Call struct {
	Op      Op
	TradeID string
	Event   capture.Event // of OpAppend
	After   uint64        // of OpAppend
}

// Faulty is a ledger that fails as its hooks decide. It starts no goroutines. Hooks
// may be called concurrently if the ledger is. Without a Ledger, Append and the
// methods that load return an error.
type Faulty struct {
	ledger.Ledger
	// Before is called first. If it returns an error, the method does nothing and
	// returns that error.
	Before func(Call) error
	// After is called after a successful call. If it returns an error, the method
	// returns that error instead of the result, although the call was carried out.
	After func(Call) error
}

// Append implements ledger.Ledger.
func (f Faulty) Append(ctx context.Context, e capture.Event, after uint64, opts ...ledger.AppendOption) (uint64, error) {
	return run(f, Call{OpAppend, e.TradeID, e, after}, func() (uint64, error) {
		return f.Ledger.Append(ctx, e, after, opts...)
	})
}

// Load implements ledger.Ledger.
func (f Faulty) Load(ctx context.Context, tradeID string) (ledger.Trade, error) {
	return run(f, Call{Op: OpLoad, TradeID: tradeID}, func() (ledger.Trade, error) {
		return f.Ledger.Load(ctx, tradeID)
	})
}

// LoadLatest implements ledger.Ledger.
func (f Faulty) LoadLatest(ctx context.Context, tradeID string) (ledger.Trade, error) {
	return run(f, Call{Op: OpLoadLatest, TradeID: tradeID}, func() (ledger.Trade, error) {
		return f.Ledger.LoadLatest(ctx, tradeID)
	})
}

// Last implements ledger.Ledger.
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
	if f.Ledger == nil {
		return none, errors.New("ledgertest.Faulty: the field Ledger is not set")
	}
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
