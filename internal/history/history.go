// Package history explains the state of a trade and its evidence: it reads the
// events of a trade, summarizes them and, if the ledger has none, searches the
// streams for its job.
package history

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/controls"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/natsconn"
	"github.com/capture-worker/capture-worker/ledger"
)

// ErrUnknown is the error for a trade or an order of which the ledger has no
// events. Explain returns where its job is.
var ErrUnknown = errors.New("the ledger has no trade")

// Reader reads histories.
type Reader struct {
	// DoneJobs is how many of the newest done jobs Explain reads; 0 is
	// DefaultDoneJobs.
	DoneJobs int

	js      jetstream.JetStream
	c       config.Config
	ledger  ledger.Ledger
	policy  capture.Policy
	dec     *capture.Decoder
	unknown string // why it is not known how workers decode jobs
	warn    func(string)
	pending func() []DeadLetter
	passed  func() []controls.PassedOver
}

// NewReader returns a reader of the configured streams. policy is the policy of the
// workers, for the next step. warn is called with what could not be checked.
func NewReader(ctx context.Context, js jetstream.JetStream, c config.Config, policy capture.Policy, warn func(string)) (*Reader, error) {
	mapping, unknown := Mapping(ctx, js, c)
	dec, err := capture.NewDecoder(mapping)
	if err != nil {
		return nil, err
	}
	r := &Reader{unknown: unknown, js: js, c: c, ledger: ledger.NewJetStream(js, ledger.Options{Stream: c.Ledger.Stream}), policy: policy, dec: dec, warn: warn}
	r.pending = sync.OnceValue(func() []DeadLetter {
		return r.readPending(ctx, js, deadletter.Store{JS: js, Stream: c.Jobs.DLQStream})
	})
	r.passed = sync.OnceValue(func() []controls.PassedOver { return r.readPassedOver(ctx) })
	return r, nil
}

// Trade is the history of a trade.
type Trade struct {
	TradeID string          `json:"trade_id"`
	Phase   capture.Phase   `json:"phase"`
	Events  []capture.Event `json:"events"`
	// Earlier is how many of the first events are not printed.
	Earlier int `json:"earlier_events,omitempty"`
	// DeadLetters are the pending ones about the trade.
	DeadLetters []DeadLetter `json:"dead_letters,omitempty"`
	// PassedOver are messages about the trade that jobs.match did not take, of the
	// sample that workers keep; none if the trade is captured.
	PassedOver []controls.PassedOver `json:"passed_over,omitempty"`

	policy capture.Policy
}

// Newest limits what is printed to the newest n events; 0 is all. The summary is
// of all events nevertheless.
func (t *Trade) Newest(n int) {
	t.Earlier = 0
	if n > 0 {
		t.Earlier = max(len(t.Events)-n, 0)
	}
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
	t := Trade{TradeID: found.ID, Phase: found.State().Phase, Events: found.Events, DeadLetters: r.pendingOf(id), policy: r.policy}
	if t.Phase != capture.PhaseCaptured {
		t.PassedOver = passedOver(r.passed(), func(p controls.PassedOver) bool { return capture.SameTrade(p.TradeID, id) })
	}
	return t, nil
}

// Order calls each with the history of those of some trades that are of an order:
// a shop may have split it. If none of them is, it returns ErrUnknown.
func (r *Reader) Order(ctx context.Context, order string, trades iter.Seq2[string, error], each func(Trade) error) error {
	found := false
	for id, err := range trades {
		if err != nil {
			return err
		}
		history, err := r.Trade(ctx, id)
		if errors.Is(err, ErrUnknown) { // expired from the ledger
			continue
		}
		if err != nil {
			return err
		}
		if !slices.Contains(capture.Orders(history.Events), order) {
			continue
		}
		found = true
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
