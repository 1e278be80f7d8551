package cli

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/history"
	"github.com/capture-worker/capture-worker/internal/records"
	"github.com/capture-worker/capture-worker/internal/service"
	"github.com/capture-worker/capture-worker/ledger"
)

// paging is which part of a list is printed.
type paging struct {
	limit int    // 0 is all
	after string // where the page before ended
}

func (p *paging) add(cmd *cobra.Command, what string) {
	cmd.Flags().IntVar(&p.limit, "limit", 0, "at most so many "+what+"; 0 is all")
	cmd.Flags().StringVar(&p.after, "after", "", "continue a list that --limit has cut, from the `position` that it ended with")
}

func (p *paging) check() error {
	if p.limit < 0 {
		return usageError("--limit is %d: must not be negative", p.limit)
	}
	return nil
}

// more is the line that says how a list goes on.
func (p *paging) more(next string) string {
	return fmt.Sprintf("more follow: --limit %d --after %s", p.limit, next)
}

// lookup finds trades by anything but their id: in the records if there are any,
// else among the newest events of the ledger. A search in the whole ledger would
// hold up the workers.
type lookup struct {
	js     jetstream.JetStream
	stream string
	ledger *ledger.JetStream
	store  *records.Store // nil: no records
	lag    records.Lag    // of the records
	warn   func(string)
}

// openTimeout limits the wait for the database.
const openTimeout = 10 * time.Second

// openLookup opens the records if they are configured. If they cannot be read, it
// warns and works without them. The caller closes it.
func openLookup(ctx context.Context, js jetstream.JetStream, c config.Config, warn func(string)) *lookup {
	l := &lookup{js: js, stream: c.Ledger.Stream, ledger: ledger.NewJetStream(js, ledger.Options{Stream: c.Ledger.Stream}), warn: warn}
	dsn := service.ReadableRecords(c)
	if dsn == "" {
		return l
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	store, err := records.OpenReader(ctx, string(dsn), records.Options{Window: c.Gateway.Window})
	if err == nil {
		if l.lag, err = store.Lag(ctx, js, records.SourceLedger, c.Ledger.Stream); err != nil {
			err = errors.Join(err, store.Close())
		}
	}
	if err != nil {
		warn(fmt.Sprintf("the records (records.dsn) are not used: %v", err))
		return l
	}
	l.store = store
	return l
}

func (l *lookup) close() {
	if l.store != nil {
		_ = l.store.Close() // opened for reading
	}
}

// asOf says as of when what the records told is exact.
func (l *lookup) asOf() string {
	text := fmt.Sprintf("as of sequence %d of stream %s, from the records in %s", l.lag.Applied, l.stream, l.store.Where())
	if l.lag.Messages == 0 {
		return text
	}
	return fmt.Sprintf("%s: %s (%s) behind the ledger", text, counted(l.lag.Messages, "event"), l.lag.Behind.Round(time.Millisecond))
}

// recentTrade is a trade, and the sequence of its newest event that was looked at.
type recentTrade struct {
	id  string
	seq uint64
}

// recent are trades among the newest events of the ledger, the newest first.
type recent struct {
	trades []recentTrade
	events int       // that were looked at
	since  time.Time // when the oldest of them was stored
	whole  bool      // the ledger has no others
}

// searched says what was looked at, if that is not the whole ledger.
func (r recent) searched() string {
	return fmt.Sprintf("only the newest %d events of the ledger were looked at, stored since %s; with records.dsn all trades are found, see docs/records.md",
		r.events, r.since.UTC().Format(time.DateTime))
}

// recent selects trades by their events among the newest n, given the newest
// first and without those of trades that were decided about before: selects
// reports whether the trade is selected, and whether that is decided.
func (l *lookup) recent(ctx context.Context, n int, selects func(ledger.Entry) (yes, decided bool)) (recent, error) {
	stream, err := l.js.Stream(ctx, l.stream)
	if err != nil {
		return recent{}, fmt.Errorf("stream %s: %w", l.stream, err)
	}
	entries, err := l.ledger.Tail(ctx, n)
	if err != nil {
		return recent{}, err
	}
	found := recent{events: len(entries), whole: stream.CachedInfo().State.Msgs <= uint64(n)}
	if len(entries) > 0 {
		found.since = entries[0].Stored
	}
	done := map[string]bool{}
	for _, e := range slices.Backward(entries) {
		id := e.Event.TradeID
		if done[id] {
			continue
		}
		yes, decided := selects(e)
		done[id] = decided
		if yes {
			found.trades = append(found.trades, recentTrade{id, e.Seq})
		}
	}
	return found, nil
}

// from returns the trades after a position of an earlier page.
func (r recent) from(after string) ([]recentTrade, error) {
	if after == "" {
		return r.trades, nil
	}
	seq, err := strconv.ParseUint(after, 10, 64)
	if err != nil {
		return nil, badPosition(after)
	}
	return slices.DeleteFunc(slices.Clone(r.trades), func(t recentTrade) bool { return t.seq >= seq }), nil
}

func badPosition(after string) error {
	return usageError("--after is %.80q: not a position that this list ended with; list from the start, without --after", after)
}

// orderTrades are trades that may be of an order.
type orderTrades struct {
	ids  []string
	next string // the position of the next page, "" if there is none
	note string // what was looked at, or as of when it is exact
}

func (o orderTrades) each() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, id := range o.ids {
			if !yield(id, nil) {
				return
			}
		}
	}
}

// positionRecords is the position between what the records do not hold yet and
// what they hold.
const positionRecords = "records"

// ofOrder returns the trades of a shop's order, the newest first.
func (l *lookup) ofOrder(ctx context.Context, order string, p paging) (orderTrades, error) {
	if l.store == nil {
		return l.ofRecentOrder(ctx, order, ledger.MaxTail, p)
	}
	found := orderTrades{note: l.asOf()}
	// What the records do not hold yet is read from the ledger, on the first page.
	if missing := l.lag.Messages; missing > 0 && p.after == "" {
		gap, err := l.ofRecentOrder(ctx, order, int(min(missing, ledger.MaxTail)), paging{limit: p.limit})
		if err != nil {
			return found, err
		}
		found.ids = gap.ids
		if missing > ledger.MaxTail {
			found.note += "; " + gap.note
		}
		if p.limit > 0 && len(found.ids) == p.limit {
			found.next = positionRecords
			return found, nil
		}
	}
	page := records.Page{Limit: records.MaxLimit, Cursor: p.after}
	if p.after == positionRecords {
		page.Cursor = ""
	}
	if p.limit > 0 {
		page.Limit = p.limit - len(found.ids)
	}
	for {
		got, err := l.store.TradesOfOrder(ctx, order, page)
		if errors.Is(err, records.ErrCursor) {
			return found, badPosition(p.after)
		}
		if err != nil {
			return found, err
		}
		for _, t := range got.Items {
			if !slices.Contains(found.ids, t.Key) {
				found.ids = append(found.ids, t.Key)
			}
		}
		if got.Next == "" || p.limit > 0 {
			found.next = got.Next
			return found, nil
		}
		page.Cursor = got.Next
	}
}

func (l *lookup) ofRecentOrder(ctx context.Context, order string, events int, p paging) (orderTrades, error) {
	among, err := l.recent(ctx, events, func(e ledger.Entry) (bool, bool) {
		names := slices.Contains(history.Orders([]capture.Event{e.Event}), order)
		return names, names
	})
	if err != nil {
		return orderTrades{}, err
	}
	trades, err := among.from(p.after)
	if err != nil {
		return orderTrades{}, err
	}
	var found orderTrades
	if !among.whole {
		found.note = among.searched()
	}
	for _, t := range trades {
		if p.limit > 0 && len(found.ids) == p.limit {
			break
		}
		found.ids, found.next = append(found.ids, t.id), strconv.FormatUint(t.seq, 10)
	}
	if len(found.ids) == len(trades) {
		found.next = ""
	}
	return found, nil
}
