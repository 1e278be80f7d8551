package sim

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
)

// book is the ledger of the simulated workers: the production ledger.Memory behind
// a network that loses and delays requests and replies, and reports wrong results.
type book struct {
	s      *Sim
	store  *ledger.Memory
	log    []logged          // the stored events, in order
	events [][]capture.Event // the same per trade, for the checks
	seqs   [][]uint64        // their sequences
	counts map[tally]int
}

type logged struct {
	trade int
	event capture.Event
	after uint64
}

type tally struct {
	on    place
	trade int
}

var _ ledger.Ledger = (*book)(nil)

func newBook(s *Sim) *book {
	n := len(s.plan.Trades)
	return &book{s: s, store: &ledger.Memory{}, events: make([][]capture.Event, n), seqs: make([][]uint64, n), counts: map[tally]int{}}
}

// bump counts the occasions of a trade at a place.
func (b *book) bump(on place, trade int) int {
	b.counts[tally{on, trade}]++
	return b.counts[tally{on, trade}]
}

func (s *Sim) dice(on place, trade int) dice {
	no := 0
	if trade >= 0 {
		no = s.plan.Trades[trade].No + 1
	}
	return newDice(s.plan.Seed, on, no, s.book.bump(on, trade))
}

var errNetwork = errors.New("simulated: the ledger cannot be reached")

// The duration of a call to the ledger without a fault.
const (
	netLeast = 1 * time.Millisecond
	netMost  = 20 * time.Millisecond
)

// Append implements ledger.Ledger.
func (b *book) Append(_ context.Context, e capture.Event, after uint64, _ ...ledger.AppendOption) (seq uint64, err error) {
	t := b.s.current
	t.cross(onAppend, func(back func()) {
		d := b.s.dice(onAppend, t.trade)
		fault := b.s.meets(onAppend, d)
		there, again := d.between(saltWay, netLeast, netMost), d.between(saltBack, netLeast, netMost)
		store := func() { seq, err = b.put(t, e, after) }
		switch fault {
		case AppendLost:
			err = errNetwork
			b.s.note("%s append %s: lost", t.name, e.Type)
			b.s.after(there+again, back)
			return
		case AppendUncertainStored, AppendUncertainLate, AppendUncertainGone:
			b.uncertain(t, e, after, fault, d)
			err = fmt.Errorf("appending: %w", ledger.ErrUncertain)
			b.s.after(d.between(saltLong, 5*time.Second, 15*time.Second), back)
			return
		case AppendSlow:
			there, again = d.between(saltWay, 0, 5*time.Second), d.between(saltBack, 0, 5*time.Second)
		}
		b.s.after(there, func() {
			store()
			b.s.after(again, back)
		})
	})
	return seq, err
}

// uncertain stores an event or loses it, and gives the writer no result.
func (b *book) uncertain(t *task, e capture.Event, after uint64, fault Fault, d dice) {
	b.s.note("%s append %s: %s", t.name, e.Type, fault)
	arrive := func() { _, _ = b.put(t, e, after) }
	switch fault {
	case AppendUncertainStored:
		b.s.after(d.between(saltWay, netLeast, 4*time.Second), arrive)
	case AppendUncertainLate:
		b.s.after(d.between(saltWay, 5*time.Second, lostLate), arrive)
	}
}

// put stores an event with its guard.
func (b *book) put(t *task, e capture.Event, after uint64) (uint64, error) {
	seq, err := b.store.Append(context.Background(), e, after)
	if err != nil {
		b.s.note("%s append %s after %d: %v", t.name, e.Type, after, err)
		return seq, err
	}
	b.s.note("%s append %s after %d: stored as %d by %s (%s) %s", t.name, e.Type, after, seq, e.Worker, e.Rule, describe(e))
	if t.trade >= 0 && !slices.Contains(b.seqs[t.trade], seq) {
		e = asStored(e)
		b.log = append(b.log, logged{t.trade, e, after})
		b.seqs[t.trade] = append(b.seqs[t.trade], seq)
		b.events[t.trade] = append(b.events[t.trade], e)
		b.s.checkAppended(t, e)
	}
	return seq, err
}

// asStored returns an event as readers of the ledger get it.
func asStored(e capture.Event) capture.Event {
	text, err := e.Encode()
	if err != nil {
		panic(err) // the store has accepted the same bytes
	}
	if e, err = capture.DecodeEvent(text); err != nil {
		panic(err)
	}
	return e
}

func describe(e capture.Event) string {
	text := ""
	if e.Call > 0 {
		text += fmt.Sprintf(" call %d %s", e.Call, e.RequestID)
	}
	if e.Answer != nil {
		text += fmt.Sprintf(" [%s %s %s]", e.Answer.Kind, e.Answer.Code, e.Answer.Why)
	}
	if e.Type.Outcome() {
		text += fmt.Sprintf(" %s %s %s", e.Reason, e.Amount, e.Currency)
	}
	return text
}

// Load implements ledger.Ledger. It may show only the first events, as the
// contract allows.
func (b *book) Load(ctx context.Context, tradeID string) (ledger.Trade, error) {
	return b.read(ctx, onLoad, tradeID)
}

// LoadLatest implements ledger.Ledger.
func (b *book) LoadLatest(ctx context.Context, tradeID string) (ledger.Trade, error) {
	return b.read(ctx, onLatest, tradeID)
}

func (b *book) read(_ context.Context, on place, tradeID string) (trade ledger.Trade, err error) {
	t := b.s.current
	t.cross(on, func(back func()) {
		d := b.s.dice(on, t.trade)
		fault := b.s.meets(on, d)
		there, again := d.between(saltWay, netLeast, netMost), d.between(saltBack, netLeast, netMost)
		if fault == LoadSlow {
			there, again = d.between(saltWay, 0, 5*time.Second), d.between(saltBack, 0, 5*time.Second)
		}
		b.s.after(there, func() {
			switch fault {
			case LoadFails, LatestFails:
				err = errNetwork
			default:
				trade = b.whole(tradeID)
			}
			if n := len(trade.Events); fault == LoadStale && n > 0 {
				behind := 1 + d.pick(saltHow, 2)
				if d.chance(saltMore, .4) {
					behind = 1 + d.pick(saltHow, n)
				}
				trade = b.prefix(trade, max(n-behind, 0))
			}
			b.s.note("%s %s: %d events, error: %v", t.name, boundaryNames[on], len(trade.Events), err)
			b.s.after(again, back)
		})
	})
	return trade, err
}

// whole returns the result of the store's Load. It is built from events that were
// decoded once, because decoding would take most of the time of a history.
func (b *book) whole(tradeID string) ledger.Trade {
	i := b.s.trade(tradeID)
	trade := ledger.Trade{ID: tradeID, Events: slices.Clip(b.events[i])}
	if n := len(b.seqs[i]); n > 0 {
		trade.Seq = b.seqs[i][n-1]
	}
	return trade
}

// prefix returns the trade with its first n events.
func (b *book) prefix(trade ledger.Trade, n int) ledger.Trade {
	old := ledger.Trade{ID: trade.ID, Events: trade.Events[:n]}
	if n > 0 {
		old.Seq = b.seqs[b.s.trade(trade.ID)][n-1]
	}
	return old
}

func (s *Sim) trade(id string) int {
	for i := range s.plan.Trades {
		if capture.SameTrade(s.plan.Trades[i].ID, id) {
			return i
		}
	}
	return -1
}

// Last implements ledger.Ledger; no simulated activity calls it.
func (b *book) Last(ctx context.Context, tradeID string) (ledger.Entry, bool, error) {
	return b.store.Last(ctx, tradeID)
}

// Trades implements ledger.Ledger; no simulated activity calls it.
func (b *book) Trades(ctx context.Context, f ledger.Filter) iter.Seq2[string, error] {
	return b.store.Trades(ctx, f)
}

// Watch implements ledger.Ledger; no simulated activity calls it.
func (b *book) Watch(ctx context.Context, from uint64) iter.Seq2[ledger.Entry, error] {
	return b.store.Watch(ctx, from)
}
