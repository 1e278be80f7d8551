// Package ledger keeps the events of every trade: append-only, in order, and
// guarded, so that of two writers one wins and the other re-reads. It is the
// truth about what was asked of the gateway, the audit trail and the feed for
// consumers.
//
// JetStream is the implementation to run, Memory the one for tests and
// simulation. Both pass the suite in ledger/ledgertest.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/capture-worker/capture-worker/capture"
)

// Ledger is the contract. All methods may be called concurrently. Every wait
// inside has a bound, also where ctx has none; the exception is Watch, which
// waits for events until ctx ends.
type Ledger interface {
	// Append writes e as the next event of its trade, provided the trade's last
	// event has the sequence after (0: the trade has none), and returns the
	// event's own sequence. e.ID must be unique: the event is recognised by
	// it, and appending it once more with the same after only returns its
	// sequence.
	//
	// ErrConflict: another event is there; this one is not stored. Load it
	// again with LoadLatest and decide again. ErrUncertain: whether it is
	// stored could not be learned within the bound, and it may still arrive;
	// decide nothing before reading again. ErrTradeID, capture.ErrEvent: the
	// event cannot be stored as it is. After any other error this call has not
	// stored it, nor will; an earlier call with the same event may have. The
	// error names the trade: callers need not.
	Append(ctx context.Context, e capture.Event, after uint64) (seq uint64, err error)

	// Load returns the events of a trade. It may lag behind what others have
	// just appended, never behind by a gap: the events are the trade's first
	// ones, in order. Appending with Trade.Seq finds out (ErrConflict). A trade
	// without events is no error: its Seq is 0. An event that cannot be read
	// is: the error names its sequence and wraps capture.ErrEvent. Events of
	// types and members that this program does not know are returned.
	Load(ctx context.Context, tradeID string) (Trade, error)

	// LoadLatest is Load that holds everything that was appended before it was
	// called. Use it after a conflict.
	LoadLatest(ctx context.Context, tradeID string) (Trade, error)

	// Last returns the last event of a trade, as of the time of the call, and
	// whether there is one.
	Last(ctx context.Context, tradeID string) (Entry, bool, error)

	// Trades walks the trades that the filter selects, each once, in the order
	// of the first event that made them selected, in constant memory. It ends
	// at what was stored when the walk began. An error ends the walk.
	Trades(ctx context.Context, f Filter) iter.Seq2[string, error]

	// Watch yields the events of all trades in ledger order, from the sequence
	// from on, and then new ones as they are appended, until ctx ends (which
	// is not an error and ends the sequence silently). With from 0 it begins
	// with what is appended after the iteration began. It continues over lost
	// connections without gap or repetition. An error ends it; an event that
	// cannot be read is yielded as an error with its Entry.Seq, and the
	// iteration goes on if the caller does.
	Watch(ctx context.Context, from uint64) iter.Seq2[Entry, error]
}

// Trade is what the ledger holds of one trade.
type Trade struct {
	ID     string
	Events []capture.Event // in ledger order
	Seq    uint64          // the sequence of the last event, 0 where there is none
	// Headers are those that the last event was given by WithHeaders, nil where
	// it was given none.
	Headers nats.Header
}

// State folds the events.
func (t Trade) State() capture.State { return capture.Fold(t.Events) }

// Entry is an event with its place in the ledger.
type Entry struct {
	Event  capture.Event
	Seq    uint64    // grows over all trades; not without gaps per trade
	Stored time.Time // the ledger's clock, not the writer's
}

// Filter selects trades for a walk. The zero Filter selects all.
type Filter struct {
	// Since selects trades that have an event stored at or after it.
	Since time.Time
}

// The errors callers tell apart with errors.Is.
var (
	// ErrConflict: the trade has another last event than the writer thought.
	ErrConflict = errors.New("the trade has changed in the ledger")
	// ErrUncertain: the event may be in the ledger, or arrive later, or not.
	ErrUncertain = errors.New("not known whether the event is in the ledger")
	// ErrTradeID: not 1 to 64 of A-Z a-z 0-9 _ -. A dot, * or > in a subject
	// would let one trade's guard cover another's.
	ErrTradeID = errors.New("not a trade id")
)

// ConflictError says what stands where the event was to be written. It is
// ErrConflict.
type ConflictError struct {
	TradeID string
	After   uint64 // what the writer took for the last event
	Found   uint64 // the event found behind it, 0 where it was not looked for
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("appending to trade %s after sequence %d: %v (found %d)", e.TradeID, e.After, ErrConflict, e.Found)
}

// Is makes errors.Is(err, ErrConflict) true.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// CheckTradeID returns an error that wraps ErrTradeID unless id may name a
// trade: 1 to 64 of A-Z a-z 0-9 _ -.
func CheckTradeID(id string) error {
	if !capture.ValidTradeID(id) {
		return fmt.Errorf("%w: %.80q is not 1 to 64 of A-Z a-z 0-9 _ -", ErrTradeID, id)
	}
	return nil
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// checkEvent refuses what could not be found again or would break the guard.
func checkEvent(e capture.Event) error {
	if err := CheckTradeID(e.TradeID); err != nil {
		return err
	}
	if e.ID == "" || e.Type == "" || len(e.Type) > 64 {
		return fmt.Errorf("%w: trade %s: id or type is missing or too long", capture.ErrEvent, e.TradeID)
	}
	for i := range len(e.Type) {
		if !wordByte(e.Type[i]) {
			return fmt.Errorf("%w: trade %s: type %q cannot be part of a subject", capture.ErrEvent, e.TradeID, e.Type)
		}
	}
	return nil
}
