package records

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// Act is an action of an operator.
type Act struct {
	Source Source          `json:"source"` // the stream that records it
	Seq    uint64          `json:"seq"`    // there
	Act    string          `json:"act"`    // ActRelease and the others
	Actor  string          `json:"actor"`
	Note   string          `json:"note"`
	At     time.Time       `json:"at"`
	Trade  string          `json:"trade,omitempty"`
	Order  string          `json:"order_id,omitempty"`
	Letter uint64          `json:"dead_letter,omitempty"`
	Amount capture.Amount  `json:"amount,omitzero"`
	Raw    json.RawMessage `json:"event"` // the event or note that records the act
}

// ActQuery selects acts. An empty field matches every act.
type ActQuery struct {
	Trade    string // trade_id
	Letter   uint64 // a dead letter's sequence
	Actor    string
	Act      string
	From, To time.Time // of [From, To)
}

// Acts lists the acts of operators, newest first.
func (s *Store) Acts(ctx context.Context, q ActQuery, p Page) (List[Act], error) {
	l := listing{
		selected: `SELECT source, seq, act, actor, note, at, COALESCE(trade, ''), COALESCE(order_id, ''), COALESCE(letter, 0),
COALESCE(amount, ''), COALESCE(currency, ''), raw FROM acts`,
		order: []string{"at", "source", "seq"}, newest: true,
	}
	l.addIf("trade", capture.TradeKey(q.Trade))
	l.addIf("actor", q.Actor)
	l.addIf("act", q.Act)
	if q.Letter != 0 {
		l.add("letter = ?", int64(q.Letter))
	}
	if !q.From.IsZero() {
		l.add("at >= ?", q.From.UnixMicro())
	}
	if !q.To.IsZero() {
		l.add("at < ?", q.To.UnixMicro())
	}
	return list(ctx, s, l, p, scanAct, func(a Act) []any { return []any{a.At.UnixMicro(), string(a.Source), a.Seq} })
}

func scanAct(rows *sql.Rows) (Act, error) {
	var a Act
	var at int64
	var amount, currency string
	err := rows.Scan(&a.Source, &a.Seq, &a.Act, &a.Actor, &a.Note, &at, &a.Trade, &a.Order, &a.Letter, &amount, &currency, (*[]byte)(&a.Raw))
	a.At, a.Amount = time.UnixMicro(at).UTC(), amountOf(amount, currency)
	return a, err
}
