package records

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/acts"
	"github.com/capture-worker/capture-worker/ledger"
)

var (
	eventsTable = table{name: "events", columns: []column{
		{"seq", number}, {"id", text}, {"trade", text}, {"type", text}, {"at", number}, {"stored", number}, {"after_seq", number},
		{"request_id", text}, {"response_id", text}, {"transaction_id", text}, {"gateway_order", text}, {"flaw", text}, {"raw", octets},
	}}
	ordersTable = table{
		name:    "orders",
		columns: []column{{"order_id", text}, {"trade", text}, {"first_seq", number}, {"last_seq", number}},
		clash:   " ON CONFLICT (order_id, trade) DO UPDATE SET last_seq = excluded.last_seq",
	}
)

// ApplyLedger is ApplyEvents for messages of the ledger's stream.
func (w *Writer) ApplyLedger(ctx context.Context, messages []Message) error {
	entries := make([]Entry, len(messages))
	for i, m := range messages {
		trade, event := subjectOf(m.Subject)
		entries[i] = Entry{Seq: m.Seq, Stored: m.Stored, Trade: trade, Type: event, After: ledger.After(m.Header), Raw: m.Body}
	}
	return w.ApplyEvents(ctx, entries)
}

// ApplyEvents applies the next messages of the ledger, in order, and stores the
// sequence of the last one. Messages that were applied before are skipped, so a
// batch may be repeated if it is unknown whether it was committed. A message
// without a trade is not an event: only its sequence is stored.
func (w *Writer) ApplyEvents(ctx context.Context, entries []Entry) error {
	if len(entries) == 0 {
		return nil
	}
	for i := range entries {
		entries[i].decode()
	}
	last := &entries[len(entries)-1]
	var b *batch
	err := w.advance(ctx, SourceLedger, last.Seq, last.Stored, func(ctx context.Context, tx *sql.Tx, applied uint64) error {
		b = &batch{w: w, stories: map[string]*story{}}
		for _, e := range entries {
			if e.Seq > applied && e.Trade != "" {
				b.entries = append(b.entries, e)
			}
		}
		return b.apply(ctx, tx)
	})
	if err != nil {
		// It may be unknown whether the batch was committed: read its trades again.
		w.cache.forget()
		return fmt.Errorf("applying the ledger up to sequence %d to the records: %w", last.Seq, err)
	}
	if b != nil {
		for trade, s := range b.stories {
			w.cache.put(trade, *s)
		}
	}
	return nil
}

// batch is the state of one ApplyEvents.
type batch struct {
	w       *Writer
	entries []Entry
	stories map[string]*story // the stories of its trades
	orders  map[[2]string][]any
	acts    [][]any
}

func (b *batch) apply(ctx context.Context, tx *sql.Tx) error {
	if err := b.markDoubled(ctx, tx); err != nil {
		return err
	}
	if err := b.load(ctx, tx); err != nil {
		return err
	}
	b.orders = map[[2]string][]any{}
	events := make([][]any, len(b.entries))
	for i := range b.entries {
		e := &b.entries[i]
		s := b.stories[e.Trade]
		s.add(e)
		events[i] = e.row()
		b.note(e, s)
	}
	trades := make([][]any, 0, len(b.stories))
	for trade, s := range b.stories {
		trades = append(trades, s.row(trade, b.w.s.o.Window))
	}
	orders := make([][]any, 0, len(b.orders))
	for _, row := range b.orders {
		orders = append(orders, row)
	}
	for _, put := range []struct {
		t    table
		rows [][]any
	}{{eventsTable, events}, {tradesTable, trades}, {ordersTable, orders}, {actsTable, b.acts}} {
		if err := b.w.s.put(ctx, tx, put.t, put.rows); err != nil {
			return err
		}
	}
	return nil
}

// markDoubled marks events with the id of an earlier event.
func (b *batch) markDoubled(ctx context.Context, tx *sql.Tx) error {
	ids := make([]string, 0, len(b.entries))
	for i := range b.entries {
		if e := &b.entries[i]; e.readable() {
			ids = append(ids, clean(e.event.ID))
		}
	}
	seen := map[string]bool{}
	in, arg, err := b.w.s.d.among("id", ids)
	if err != nil {
		return err
	}
	rows, err := b.w.s.query(ctx, tx, "SELECT id FROM events WHERE "+in, arg)
	if err != nil {
		return fmt.Errorf("looking for doubled events: %w", err)
	}
	err = each(rows, func() error {
		var id string
		err := rows.Scan(&id)
		seen[id] = true
		return err
	})
	for i := range b.entries {
		if e := &b.entries[i]; e.readable() {
			id := clean(e.event.ID)
			if seen[id] && e.flaw == "" {
				e.flaw = FlawDoubled
			}
			seen[id] = true
		}
	}
	return err
}

// load returns the stories of the trades; those that are not cached are folded from
// the stored events.
func (b *batch) load(ctx context.Context, tx *sql.Tx) error {
	var missing []string
	for i := range b.entries {
		trade := b.entries[i].Trade
		if b.stories[trade] != nil {
			continue
		}
		known, ok := b.w.cache.get(trade)
		b.stories[trade] = &known
		if !ok {
			missing = append(missing, trade)
		}
	}
	return b.w.s.fold(ctx, tx, missing, func(trade string, e *Entry) { b.stories[trade].add(e) })
}

// fold folds the stored events of trades, in the order of the ledger.
func (s *Store) fold(ctx context.Context, tx *sql.Tx, trades []string, add func(trade string, e *Entry)) error {
	if len(trades) == 0 {
		return nil
	}
	in, arg, err := s.d.among("trade", trades)
	if err != nil {
		return err
	}
	rows, err := s.query(ctx, tx, "SELECT "+entryColumns+" FROM events WHERE "+in+" ORDER BY trade, seq", arg)
	if err != nil {
		return fmt.Errorf("reading the events of %d trades: %w", len(trades), err)
	}
	return each(rows, func() error {
		e, err := scanEntry(rows)
		if err == nil {
			add(e.Trade, &e)
		}
		return err
	})
}

const entryColumns = "seq, trade, type, stored, after_seq, flaw, raw"

// scanEntry reads a stored event.
func scanEntry(rows *sql.Rows) (Entry, error) {
	var e Entry
	var seq, stored int64
	var after sql.NullInt64
	var flaw sql.NullString
	if err := rows.Scan(&seq, &e.Trade, &e.Type, &stored, &after, &flaw, &e.Raw); err != nil {
		return Entry{}, err
	}
	e.Seq, e.Stored, e.After = uint64(seq), timeOf(sql.NullInt64{Int64: stored, Valid: true}), uint64(after.Int64)
	e.decode()
	e.flaw = flaw.String
	return e, nil
}

// each calls f for each row, and closes them.
func each(rows *sql.Rows, f func() error) error {
	defer rows.Close()
	for rows.Next() {
		if err := f(); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (e *Entry) row() []any {
	var request, response, transaction, gatewayOrder string
	if e.event.Type == capture.Attempted {
		request = e.event.RequestID
	}
	if a := e.event.Answer; a != nil {
		response = a.ResponseID
		if a.Order != nil {
			transaction, gatewayOrder = a.Order.TransactionID, a.Order.OrderID
		}
	}
	if n := e.event.Notification; n != nil {
		transaction, gatewayOrder = n.TransactionID, n.OrderID
	}
	return []any{
		int64(e.Seq), e.event.ID, e.Trade, string(e.Type), e.at().UnixMicro(), e.Stored.UnixMicro(), int64(e.After),
		textOf(request), textOf(response), textOf(transaction), textOf(gatewayOrder), textOf(e.flaw), e.Raw,
	}
}

// note collects the rows that an event adds to the other tables.
func (b *batch) note(e *Entry, s *story) {
	orders := []string{e.event.OrderID}
	if e.event.Job != nil {
		orders = append(orders, e.event.Job.OrderID)
	}
	for _, order := range orders {
		if order == "" {
			continue
		}
		key := [2]string{clean(order), e.Trade}
		if row := b.orders[key]; row != nil {
			row[3] = int64(e.Seq)
		} else {
			b.orders[key] = []any{order, e.Trade, int64(e.Seq), int64(e.Seq)}
		}
	}
	if act := actOf(e.event.Type); act != "" {
		job := &s.state.Job
		b.acts = append(b.acts, actRow{
			source: SourceLedger, seq: e.Seq, act: act, actor: e.event.By, note: e.event.Note, at: e.at().UnixMicro(),
			trade: e.Trade, order: job.OrderID, sum: job.Amount, raw: e.Raw,
		}.columns())
	}
}

// actOf returns the act that an event records, "" if it records none.
func actOf(t capture.EventType) acts.Kind {
	switch t {
	case capture.Released:
		return acts.Release
	case capture.Retried:
		return acts.Retry
	case capture.Withdrawn:
		return acts.Withdraw
	case capture.Dismissed:
		return acts.Dismiss
	}
	return ""
}
