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

// more is the line that says how a list continues.
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

// recent are the newest events of the ledger, the newest first.
type recent struct {
	events []ledger.Entry
	whole  bool // the ledger has no others
}

// recent reads the newest n events.
func (l *lookup) recent(ctx context.Context, n int) (recent, error) {
	stream, err := l.js.Stream(ctx, l.stream)
	if err != nil {
		return recent{}, fmt.Errorf("stream %s: %w", l.stream, err)
	}
	events, err := l.ledger.Tail(ctx, n)
	slices.Reverse(events)
	return recent{events: events, whole: stream.CachedInfo().State.Msgs <= uint64(n)}, err
}

// note says what was looked at, "" if it was the whole ledger.
func (r recent) note() string {
	if r.whole || len(r.events) == 0 {
		return ""
	}
	return fmt.Sprintf("only the newest %d events of the ledger were looked at, stored since %s; with records.dsn all trades are found, see docs/records.md",
		len(r.events), r.events[len(r.events)-1].Stored.UTC().Format(time.DateTime))
}

// recentTrade is a trade, and the sequence of the event for which it is listed.
type recentTrade struct {
	id  string
	seq uint64
}

// fromPosition returns the trades after the position of an earlier page.
func fromPosition(trades []recentTrade, after string) ([]recentTrade, error) {
	if after == "" {
		return trades, nil
	}
	seq, err := strconv.ParseUint(after, 10, 64)
	if err != nil {
		return nil, badPosition(after)
	}
	return slices.DeleteFunc(trades, func(t recentTrade) bool { return t.seq >= seq }), nil
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
	among, err := l.recent(ctx, events)
	if err != nil {
		return orderTrades{}, err
	}
	var named []recentTrade
	seen := map[string]bool{}
	for _, e := range among.events {
		if id := e.Event.TradeID; !seen[id] && slices.Contains(capture.Orders([]capture.Event{e.Event}), order) {
			seen[id] = true
			named = append(named, recentTrade{id, e.Seq})
		}
	}
	trades, err := fromPosition(named, p.after)
	if err != nil {
		return orderTrades{}, err
	}
	found := orderTrades{note: among.note()}
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
