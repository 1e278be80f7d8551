// Package history answers "was this trade charged, and how do we know": it reads
// the events of a trade, summarizes them and, if the ledger has none, looks for
// its job in the streams.
package history

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/natsconn"
	"github.com/capture-worker/capture-worker/ledger"
)

// ErrUnknown is the error for a trade or an order of which the ledger has no
// events. Explain returns where its job is.
var ErrUnknown = errors.New("the ledger has no trade")

// Reader reads histories.
type Reader struct {
	js      jetstream.JetStream
	c       config.Config
	ledger  ledger.Ledger
	policy  capture.Policy
	dec     *capture.Decoder
	warn    func(string)
	pending func() []DeadLetter
}

// NewReader returns a reader of the configured streams. policy is that of the
// workers: it says what they do next. warn gets what could not be checked.
func NewReader(ctx context.Context, js jetstream.JetStream, c config.Config, policy capture.Policy, warn func(string)) (*Reader, error) {
	dec, err := capture.NewDecoder(c.JobMapping())
	if err != nil {
		return nil, err
	}
	r := &Reader{js: js, c: c, ledger: ledger.NewJetStream(js, ledger.Options{Stream: c.Ledger.Stream}), policy: policy, dec: dec, warn: warn}
	r.pending = sync.OnceValue(func() []DeadLetter {
		return r.readPending(ctx, js, deadletter.Store{JS: js, Stream: c.Jobs.DLQStream})
	})
	return r, nil
}

// Trade is the history of a trade.
type Trade struct {
	TradeID string          `json:"trade_id"`
	Phase   capture.Phase   `json:"phase"`
	Events  []capture.Event `json:"events"`
	// DeadLetters are the pending ones about the trade.
	DeadLetters []DeadLetter `json:"dead_letters,omitempty"`

	policy capture.Policy
}

// Trade returns the history of a trade, or ErrUnknown.
func (r *Reader) Trade(ctx context.Context, id string) (Trade, error) {
	found, err := r.ledger.LoadLatest(ctx, capture.TradeKey(id))
	if err != nil {
		return Trade{}, err
	}
	if len(found.Events) == 0 {
		return Trade{}, fmt.Errorf("%w %s: no job for it was begun, or it is older than the ledger keeps (ledger.max_age)", ErrUnknown, id)
	}
	return Trade{TradeID: found.ID, Phase: found.State().Phase, Events: found.Events, DeadLetters: r.pendingOf(id), policy: r.policy}, nil
}

// Order calls each with the history of every trade of an order: a shop may have
// split it. It reads the whole ledger. If there is none it returns ErrUnknown.
func (r *Reader) Order(ctx context.Context, order string, each func(Trade) error) error {
	found := false
	for id, err := range r.ledger.Trades(ctx, ledger.Filter{}) {
		if err != nil {
			return err
		}
		trade, err := r.ledger.Load(ctx, id)
		if err != nil {
			return err
		}
		if !slices.Contains(capture.Orders(trade.Events), order) {
			continue
		}
		found = true
		history, err := r.Trade(ctx, id)
		if err != nil {
			return err
		}
		if err := each(history); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("%w of order %q", ErrUnknown, order)
	}
	return nil
}

// warnDeadLetters warns that the dead letters could not be read. A stream that
// does not exist holds none.
func (r *Reader) warnDeadLetters(js jetstream.JetStream, err error) {
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		r.warn(deadLettersUnread(js, err))
	}
}

func deadLettersUnread(js jetstream.JetStream, err error) string {
	return fmt.Sprintf("could not check the dead-letter queue: %v", natsconn.Explain(js.Conn(), err))
}
