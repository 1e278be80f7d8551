// Package ledger stores the events of every trade: append-only, in order, and
// guarded. It is the record of what was asked of the gateway, the audit trail,
// and the feed for consumers.
//
// The contract, in short:
//
//   - An append states the sequence of the last event that its writer has seen
//     of the trade. If the trade has changed since, the append returns
//     ErrConflict and stores nothing. Of two concurrent writers one succeeds.
//   - An append that returns no error is stored. ErrUncertain means that it may
//     be stored, or be stored later. After any other error it is not stored.
//   - An append may be repeated with the same event and the same sequence: it is
//     stored once.
//   - Load may lag behind the latest appends, LoadLatest does not. Neither
//     leaves out an event between two others.
//
// JetStream is the implementation for production, Memory the one for tests and
// simulation. Both pass the test suite in ledger/ledgertest.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/capture-worker/capture-worker/capture"
)

// Ledger stores and reads the events of trades. All methods may be called
// concurrently. All but Watch return within a bound even if ctx has no deadline.
type Ledger interface {
	// Append stores e as the next event of its trade if the trade's last event
	// has the sequence after (0: the trade has no events), and returns the
	// sequence of e. e.ID must be unique, since it identifies the event:
	// appending it again with the same after stores nothing and returns the
	// sequence of the first append.
	//
	// ErrConflict: the trade has another event after that sequence, and e is not
	// stored. Read the trade with LoadLatest and decide again. ErrUncertain: it
	// could not be determined within the bound whether e is stored, and it may
	// still be stored later. Decide nothing before reading again. ErrTradeID,
	// capture.ErrEvent: e cannot be stored in this form. After any other error
	// this call has not stored e and will not; an earlier call with the same
	// event may have. The error names the trade.
	Append(ctx context.Context, e capture.Event, after uint64, opts ...AppendOption) (seq uint64, err error)

	// Load returns the events of a trade. The newest ones may be missing, but
	// never one before them. Appending with Trade.Seq then returns ErrConflict.
	// A trade without events is not an error: its Seq is 0. An event that cannot
	// be decoded is one; the error names its sequence and wraps
	// capture.ErrEvent. Events with types or members that are unknown to this
	// program are returned.
	Load(ctx context.Context, tradeID string) (Trade, error)

	// LoadLatest is Load with everything that was appended before the call. Use
	// it after a conflict.
	LoadLatest(ctx context.Context, tradeID string) (Trade, error)

	// Last returns the last event of a trade at the time of the call, and reports
	// whether there is one.
	Last(ctx context.Context, tradeID string) (Entry, bool, error)

	// Trades yields the ids of the trades that the filter selects, each once, in
	// the order of their first selected event, in constant memory. It ends with
	// the last event that was stored when it began. An error ends it.
	Trades(ctx context.Context, f Filter) iter.Seq2[string, error]

	// Watch yields the events of all trades in ledger order, starting with the
	// sequence from, and then new ones as they are appended, until ctx ends;
	// that is not reported as an error. With from 0 it starts with the events
	// that are appended after the iteration began. After a lost connection it
	// continues without gap or repetition. An error ends it, with one exception:
	// an event that cannot be decoded is yielded as an error with its Entry.Seq,
	// and the iteration continues.
	Watch(ctx context.Context, from uint64) iter.Seq2[Entry, error]
}

// Trade is what the ledger holds of one trade.
type Trade struct {
	ID     string
	Events []capture.Event // in ledger order
	Seq    uint64          // sequence of the last event, 0 if there is none
	// Headers are the headers that WithHeaders added to the last event, or nil.
	Headers nats.Header
}

// State returns the state that the events lead to.
func (t Trade) State() capture.State { return capture.Fold(t.Events) }

// Entry is an event and its position in the ledger.
type Entry struct {
	Event  capture.Event
	Seq    uint64    // increases over the events of all trades
	Stored time.Time // by the clock of the ledger, not of the writer
}

// Filter selects trades. The zero Filter selects all.
type Filter struct {
	// Since selects trades with an event that was stored at or after this time.
	Since time.Time
}

// AppendOption is an option of Append. The zero value changes nothing.
type AppendOption struct{ header nats.Header }

// WithHeaders adds headers to the stored event, for instance its trace context.
// Names with a meaning to NATS, CloudEvents or the ledger are left out. If the
// option is given more than once, the last one counts.
func WithHeaders(h nats.Header) AppendOption {
	kept := maps.Clone(h)
	for name, values := range kept {
		kept[name] = slices.Clone(values)
	}
	return AppendOption{header: kept}
}

func headerOf(opts []AppendOption) (h nats.Header) {
	for _, o := range opts {
		if o.header != nil {
			h = o.header
		}
	}
	return h
}

// Errors to test for with errors.Is.
var (
	// ErrConflict means that the trade has another last event than the append
	// stated.
	ErrConflict = errors.New("the trade has changed in the ledger")
	// ErrUncertain means that the event may be stored, may be stored later, or not
	// at all.
	ErrUncertain = errors.New("not known whether the event is in the ledger")
	// ErrTradeID means that the id is not 1 to 64 of A-Z a-z 0-9 _ -. With a dot, *
	// or > in it the guard of one trade would cover other trades.
	ErrTradeID = errors.New("not a trade id")
)

// ConflictError is the error of an append that lost against another event.
// errors.Is(err, ErrConflict) is true for it.
type ConflictError struct {
	TradeID string
	After   uint64 // the last event as stated by the append
	Found   uint64 // the event found after it; 0: not looked up
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("appending to trade %s after sequence %d: %v (found %d)", e.TradeID, e.After, ErrConflict, e.Found)
}

// Is reports whether target is ErrConflict.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// CheckTradeID returns an error that wraps ErrTradeID unless id is 1 to 64 of
// A-Z a-z 0-9 _ -.
func CheckTradeID(id string) error {
	if !capture.ValidTradeID(id) {
		return fmt.Errorf("%w: %.80q is not 1 to 64 of A-Z a-z 0-9 _ -", ErrTradeID, id)
	}
	return nil
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// checkEvent refuses events that could not be found again or would break the
// guard.
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
