package records

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// Trade is the current state of a trade. Unknown times and texts are zero.
type Trade struct {
	Key       string            `json:"trade"`    // capture.TradeKey
	TradeID   string            `json:"trade_id"` // in the job's spelling
	Phase     capture.Phase     `json:"phase"`
	Case      string            `json:"case,omitempty"` // CaseParked, CaseOpen, CaseContradicted; "" is settled
	Events    int               `json:"events"`
	Flaws     int               `json:"flaws,omitempty"` // events with a flaw
	FirstSeq  uint64            `json:"first_seq"`
	LastSeq   uint64            `json:"last_seq"`
	FirstAt   time.Time         `json:"first_at"`
	LastAt    time.Time         `json:"last_at"`
	LastType  capture.EventType `json:"last_type"`
	OrderID   string            `json:"order_id,omitempty"`
	Asked     capture.Amount    `json:"asked,omitzero"`
	Reason    string            `json:"reason,omitempty"`
	OutcomeID string            `json:"outcome_id,omitempty"`
	LearnedAt time.Time         `json:"learned_at,omitzero"` // when the outcome was written
	PaidAt    time.Time         `json:"paid_at,omitzero"`    // the gateway's paid time
	BookedAt  time.Time         `json:"booked_at,omitzero"`  // PaidAt, else LearnedAt
	Taken     capture.Amount    `json:"taken,omitzero"`      // of captured

	SettlementAmount   string `json:"settlement_amount,omitempty"`
	SettlementCurrency string `json:"settlement_currency,omitempty"`
	ExchangeRate       string `json:"exchange_rate,omitempty"`
	TransactionID      string `json:"transaction_id,omitempty"`
	GatewayOrder       string `json:"gateway_order,omitempty"`
	ResponseID         string `json:"response_id,omitempty"`
	RequestID          string `json:"request_id,omitempty"`

	Attempt      int       `json:"attempt"`
	Calls        int       `json:"calls"`
	Worker       string    `json:"worker"`
	Rule         string    `json:"rule,omitempty"`
	Corrects     string    `json:"corrects,omitempty"`
	Corrections  int       `json:"corrections,omitempty"`
	Doubted      bool      `json:"doubted,omitempty"`
	Withdrawn    bool      `json:"withdrawn,omitempty"`
	Dismissed    bool      `json:"dismissed,omitempty"`
	Contradicted bool      `json:"contradicted,omitempty"`
	OpenedAt     time.Time `json:"opened_at,omitzero"` // when it became a case
	RetryAt      time.Time `json:"retry_at,omitzero"`
	Deadline     time.Time `json:"deadline,omitzero"` // no capture call is made after it
}

const tradeColumns = `t.trade, t.trade_id, t.phase, COALESCE(t.case_kind, ''), t.events, t.flaws, t.first_seq, t.last_seq, t.first_at, t.last_at, t.last_type,
COALESCE(t.order_id, ''), COALESCE(t.amount, ''), COALESCE(t.currency, ''), COALESCE(t.reason, ''), COALESCE(t.outcome_id, ''),
t.learned_at, t.paid_at, t.booked_at, COALESCE(t.taken_amount, ''), COALESCE(t.taken_currency, ''),
COALESCE(t.settlement_amount, ''), COALESCE(t.settlement_currency, ''), COALESCE(t.exchange_rate, ''), COALESCE(t.transaction_id, ''),
COALESCE(t.gateway_order, ''), COALESCE(t.response_id, ''), COALESCE(t.request_id, ''), t.attempt, t.calls, t.worker,
COALESCE(t.rule, ''), COALESCE(t.corrects, ''), t.corrections, t.doubted, t.withdrawn, t.dismissed, t.contradicted, t.opened_at, t.retry_at, t.deadline`

// scanTrade reads tradeColumns, and into more what is selected after them.
func scanTrade(rows interface{ Scan(...any) error }, more ...any) (Trade, error) {
	var t Trade
	var first, last, deadline int64
	var learned, paid, booked, opened, retry sql.NullInt64
	var asked, askedIn, taken, takenIn string
	err := rows.Scan(append([]any{&t.Key, &t.TradeID, &t.Phase, &t.Case, &t.Events, &t.Flaws, &t.FirstSeq, &t.LastSeq, &first, &last, &t.LastType,
		&t.OrderID, &asked, &askedIn, &t.Reason, &t.OutcomeID, &learned, &paid, &booked, &taken, &takenIn,
		&t.SettlementAmount, &t.SettlementCurrency, &t.ExchangeRate, &t.TransactionID, &t.GatewayOrder, &t.ResponseID, &t.RequestID,
		&t.Attempt, &t.Calls, &t.Worker, &t.Rule, &t.Corrects, &t.Corrections,
		&t.Doubted, &t.Withdrawn, &t.Dismissed, &t.Contradicted, &opened, &retry, &deadline}, more...)...)
	if err != nil {
		return Trade{}, err
	}
	t.FirstAt, t.LastAt = time.UnixMicro(first).UTC(), time.UnixMicro(last).UTC()
	t.LearnedAt, t.PaidAt, t.BookedAt = timeOf(learned), timeOf(paid), timeOf(booked)
	t.OpenedAt, t.RetryAt = timeOf(opened), timeOf(retry)
	if deadline != noDeadline {
		t.Deadline = time.UnixMicro(deadline).UTC()
	}
	t.Asked, t.Taken = amountOf(asked, askedIn), amountOf(taken, takenIn)
	return t, nil
}

// amountOf returns a stored amount, the zero Amount for none.
func amountOf(number, currency string) capture.Amount {
	a, err := capture.ReadAmount(number, currency)
	if err != nil {
		return capture.Amount{}
	}
	return a
}

// FindTrades lists the trades with an id, newest first. The id may be a trade_id,
// the shop's or the gateway's order, a request_id, response_id, transaction_id or
// the id of an event. Without an id it lists all trades.
func (s *Store) FindTrades(ctx context.Context, id string, p Page) (List[Trade], error) {
	l := listing{selected: "SELECT " + tradeColumns + " FROM trades t", order: []string{"t.last_seq"}, newest: true}
	if id != "" {
		l.add(`t.trade IN (
SELECT trade FROM trades WHERE trade IN (?, ?)
UNION SELECT trade FROM orders WHERE order_id = ?
UNION SELECT trade FROM events WHERE request_id = ?
UNION SELECT trade FROM events WHERE response_id = ?
UNION SELECT trade FROM events WHERE transaction_id = ?
UNION SELECT trade FROM events WHERE gateway_order = ?
UNION SELECT trade FROM events WHERE id = ?)`, id, capture.TradeKey(id), id, id, id, id, id, id)
	}
	return s.trades(ctx, l, p)
}

// TradesOfOrder lists the trades of one of the shop's orders, newest first.
func (s *Store) TradesOfOrder(ctx context.Context, order string, p Page) (List[Trade], error) {
	l := listing{selected: "SELECT " + tradeColumns + " FROM trades t", order: []string{"t.last_seq"}, newest: true}
	l.add("t.trade IN (SELECT trade FROM orders WHERE order_id = ?)", order)
	return s.trades(ctx, l, p)
}

func (s *Store) trades(ctx context.Context, l listing, p Page) (List[Trade], error) {
	return list(ctx, s, l, p, func(rows *sql.Rows) (Trade, error) { return scanTrade(rows) },
		func(t Trade) []any { return []any{t.LastSeq} })
}

// Trade returns one trade, and the ledger's sequence as of which it is exact. The
// error wraps ErrNotFound if the records have no event of it.
func (s *Store) Trade(ctx context.Context, tradeID string) (t Trade, asOf uint64, err error) {
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		if asOf, err = s.asOf(ctx, tx); err != nil {
			return err
		}
		t, err = scanTrade(s.row(ctx, tx, "SELECT "+tradeColumns+" FROM trades t WHERE t.trade = ?", capture.TradeKey(tradeID)))
		return err
	})
	return t, asOf, notFound(err, fmt.Sprintf("trade %.80q", tradeID))
}

// State returns the fold of a trade's events, as of a sequence of the ledger.
func (s *Store) State(ctx context.Context, tradeID string) (state capture.State, asOf uint64, err error) {
	var told story
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		if asOf, err = s.asOf(ctx, tx); err != nil {
			return err
		}
		return s.fold(ctx, tx, []string{capture.TradeKey(tradeID)}, func(_ string, e *Entry) { told.add(e) })
	})
	return told.state, asOf, err
}

// Event is an event of the ledger.
type Event struct {
	Seq    uint64            `json:"seq"`
	ID     string            `json:"id"`
	Trade  string            `json:"trade"`
	Type   capture.EventType `json:"type"`
	At     time.Time         `json:"at"`     // the writer's clock
	Stored time.Time         `json:"stored"` // the ledger's clock
	After  uint64            `json:"after"`  // sequence of the trade's previous event, 0 for the first
	Flaw   string            `json:"flaw,omitempty"`
	Raw    json.RawMessage   `json:"event"` // unchanged; not JSON if the flaw is FlawUnreadable
}

const eventColumns = "seq, id, trade, type, at, stored, COALESCE(after_seq, 0), COALESCE(flaw, ''), raw"

func scanEvent(rows *sql.Rows) (Event, error) {
	var e Event
	var at, stored int64
	err := rows.Scan(&e.Seq, &e.ID, &e.Trade, &e.Type, &at, &stored, &e.After, &e.Flaw, (*[]byte)(&e.Raw))
	e.At, e.Stored = time.UnixMicro(at).UTC(), time.UnixMicro(stored).UTC()
	return e, err
}

// Events lists the events of a trade, in the ledger's order.
func (s *Store) Events(ctx context.Context, tradeID string, p Page) (List[Event], error) {
	l := listing{selected: "SELECT " + eventColumns + " FROM events", order: []string{"seq"}}
	l.add("trade = ?", capture.TradeKey(tradeID))
	return list(ctx, s, l, p, scanEvent, func(e Event) []any { return []any{e.Seq} })
}

// FlawedEvents lists the events with a flaw, of all trades.
func (s *Store) FlawedEvents(ctx context.Context, p Page) (List[Event], error) {
	l := listing{selected: "SELECT " + eventColumns + " FROM events", order: []string{"seq"}}
	l.add("flaw IS NOT NULL")
	return list(ctx, s, l, p, scanEvent, func(e Event) []any { return []any{e.Seq} })
}
