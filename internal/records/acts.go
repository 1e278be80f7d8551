package records

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/acts"
)

var actsTable = table{name: "acts", columns: []column{
	{"source", text}, {"seq", number}, {"act", text}, {"actor", text}, {"note", text}, {"at", number},
	{"trade", text}, {"order_id", text}, {"letter", number}, {"amount", text}, {"currency", text}, {"minor", number}, {"raw", octets},
	{"about", text}, {"detail", text}, {"failed", text},
}}

// actRow is a row of the table.
type actRow struct {
	source                Source
	seq                   uint64
	act                   acts.Kind
	actor, note           string
	at                    any
	trade, order          string
	letter                uint64 // 0: none
	sum                   capture.Amount
	raw                   []byte
	about, detail, failed string
}

func (a actRow) columns() []any {
	var letter any
	if a.letter != 0 {
		letter = int64(a.letter)
	}
	return []any{
		string(a.source), int64(a.seq), string(a.act), a.actor, a.note, a.at,
		textOf(a.trade), textOf(a.order), letter, textOf(a.sum.Number()), textOf(a.sum.Currency()), minorUnits(a.sum), a.raw,
		textOf(a.about), textOf(a.detail), textOf(a.failed),
	}
}

// ApplyActs applies the next messages of the stream of acts, as ApplyEvents does
// those of the ledger. Acts about another ledger than this one are left out.
func (w *Writer) ApplyActs(ctx context.Context, messages []Message, ledger string) error {
	if len(messages) == 0 {
		return nil
	}
	last := &messages[len(messages)-1]
	err := w.advance(ctx, SourceActs, last.Seq, last.Stored, func(ctx context.Context, tx *sql.Tx, applied uint64) error {
		var rows [][]any
		for i := range messages {
			m := &messages[i]
			if m.Seq <= applied {
				continue
			}
			a, err := acts.Decode(m.Body)
			if err != nil {
				w.s.o.Log.Warn("unreadable record of an act", "sequence", m.Seq, "error", err)
				continue
			}
			if a.Ledger == ledger {
				rows = append(rows, rowOfAct(m, a))
			}
		}
		return w.s.put(ctx, tx, actsTable, rows)
	})
	if err != nil {
		return fmt.Errorf("applying the acts up to sequence %d to the records: %w", last.Seq, err)
	}
	return nil
}

func rowOfAct(m *Message, a acts.Act) []any {
	at := micros(a.Time)
	if at == nil {
		at = m.Stored.UnixMicro()
	}
	return actRow{
		source: SourceActs, seq: m.Seq, act: a.Act, actor: a.By, note: a.Reason, at: at, trade: capture.TradeKey(a.TradeID), raw: m.Body,
		about: a.About, detail: a.Detail, failed: a.Failed,
	}.columns()
}

// Act is an action of an operator.
type Act struct {
	Source Source          `json:"source"` // the stream that records it
	Seq    uint64          `json:"seq"`    // there
	Act    acts.Kind       `json:"act"`
	Actor  string          `json:"actor"`
	Note   string          `json:"note"`
	At     time.Time       `json:"at"`
	Trade  string          `json:"trade,omitempty"`
	Order  string          `json:"order_id,omitempty"`
	Letter uint64          `json:"dead_letter,omitempty"`
	Amount capture.Amount  `json:"amount,omitzero"`
	About  string          `json:"about,omitempty"` // if neither a trade nor a dead letter: lane batch, file orders.csv
	Detail string          `json:"detail,omitempty"`
	Failed string          `json:"failed,omitempty"` // why it had no effect
	Raw    json.RawMessage `json:"event"`            // the event, note or record
}

// ActQuery selects acts. An empty field matches every act.
type ActQuery struct {
	Trade    string // trade_id
	Letter   uint64 // a dead letter's sequence
	Actor    string
	Act      acts.Kind
	From, To time.Time // of [From, To)
}

// Acts lists the acts of operators, newest first.
func (s *Store) Acts(ctx context.Context, q ActQuery, p Page) (List[Act], error) {
	l := listing{
		selected: `SELECT source, seq, act, actor, note, at, COALESCE(trade, ''), COALESCE(order_id, ''), COALESCE(letter, 0),
COALESCE(amount, ''), COALESCE(currency, ''), COALESCE(about, ''), COALESCE(detail, ''), COALESCE(failed, ''), raw FROM acts`,
		order: []string{"at", "source", "seq"}, newest: true,
	}
	l.addIf("trade", capture.TradeKey(q.Trade))
	l.addIf("actor", q.Actor)
	l.addIf("act", string(q.Act))
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
	err := rows.Scan(&a.Source, &a.Seq, &a.Act, &a.Actor, &a.Note, &at, &a.Trade, &a.Order, &a.Letter, &amount, &currency,
		&a.About, &a.Detail, &a.Failed, (*[]byte)(&a.Raw))
	a.At, a.Amount = time.UnixMicro(at).UTC(), amountOf(amount, currency)
	return a, err
}
