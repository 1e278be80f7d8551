package records

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/acts"
	"github.com/capture-worker/capture-worker/internal/deadletter"
)

// Message is a message of a stream.
type Message struct {
	Seq     uint64
	Stored  time.Time
	Subject string
	Header  nats.Header
	Body    []byte
}

var lettersTable = table{name: "dead_letters", columns: []column{
	{"seq", number}, {"stored", number}, {"reason", text}, {"detail", text}, {"subject", text}, {"stream", text}, {"job_seq", number},
	{"part", text}, {"trade", text}, {"order_id", text}, {"amount", text}, {"currency", text}, {"minor", number},
	{"waiting", flag}, {"headers", text}, {"body", octets},
}}

// ApplyLetters applies the next messages of the dead letters' stream, like
// ApplyEvents those of the ledger. decoder finds the trade and order of a dead
// letter.
func (w *Writer) ApplyLetters(ctx context.Context, messages []Message, decoder *capture.Decoder) error {
	if len(messages) == 0 {
		return nil
	}
	last := &messages[len(messages)-1]
	err := w.advance(ctx, SourceDeadLetters, last.Seq, last.Stored, func(ctx context.Context, tx *sql.Tx, applied uint64) error {
		b := letterBatch{w: w, decoder: decoder}
		for i := range messages {
			if m := &messages[i]; m.Seq > applied {
				if err := b.read(m); err != nil {
					return err
				}
			}
		}
		return b.apply(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("applying the dead letters up to sequence %d to the records: %w", last.Seq, err)
	}
	return nil
}

// letterBatch is the state of one ApplyLetters.
type letterBatch struct {
	w       *Writer
	decoder *capture.Decoder
	letters [][]any
	acts    [][]any
	done    []resolution
}

// resolution is the resolution of a dead letter by an operator.
type resolution struct {
	letter   int64
	what, by string
	at       any
}

// read adds one message to the batch. An unreadable note was not written by
// capture-worker and records no act.
func (b *letterBatch) read(m *Message) error {
	letter, note, err := deadletter.Read(m.Seq, m.Stored, m.Subject, m.Header, m.Body)
	switch {
	case err != nil:
		b.w.s.o.Log.Warn("unreadable note in the dead letters", "sequence", m.Seq, "error", err)
	case note.Republished != nil:
		r := note.Republished
		b.note(m, r.Letter, acts.Republish, "republished", r.By, r.Note, r.Time, r.TradeID, amountOf(r.Amount, r.Money))
	case note.Dismissed != nil:
		d := note.Dismissed
		b.note(m, d.Letter, acts.DismissDeadLetter, "dismissed", d.By, d.Note, d.Time, "", capture.Amount{})
	default:
		return b.letter(&letter)
	}
	return nil
}

func (b *letterBatch) letter(l *deadletter.Message) error {
	trade, order := b.decoder.Hint(l.Header, l.Body)
	var sum capture.Amount
	if job, err := b.decoder.Decode(l.Header, l.Body); err == nil {
		trade, order, sum = job.TradeID, job.OrderID, job.Amount
	}
	headers, err := json.Marshal(l.Header)
	if err != nil {
		return err
	}
	b.letters = append(b.letters, []any{
		int64(l.Seq), l.Stored.UnixMicro(), l.Reason, l.Detail, l.Subject, l.Stream, int64(l.Sequence),
		textOf(l.Part), textOf(capture.TradeKey(trade)), textOf(order), textOf(sum.Number()), textOf(sum.Currency()), minorUnits(sum),
		true, string(headers), append([]byte{}, l.Body...),
	})
	return nil
}

func (b *letterBatch) note(m *Message, letter uint64, act acts.Kind, what, by, why string, when time.Time, trade string, sum capture.Amount) {
	at := micros(when)
	if at == nil {
		at = m.Stored.UnixMicro()
	}
	b.done = append(b.done, resolution{int64(letter), what, by, at})
	b.acts = append(b.acts, actRow{
		source: SourceDeadLetters, seq: m.Seq, act: act, actor: by, note: why, at: at,
		trade: capture.TradeKey(trade), letter: letter, sum: sum, raw: m.Body,
	}.columns())
}

func (b *letterBatch) apply(ctx context.Context, tx *sql.Tx) error {
	s := b.w.s
	if err := s.put(ctx, tx, lettersTable, b.letters); err != nil {
		return err
	}
	if err := s.put(ctx, tx, actsTable, b.acts); err != nil {
		return err
	}
	for _, r := range b.done {
		_, err := s.exec(ctx, tx, "UPDATE dead_letters SET waiting = FALSE, resolution = ?, resolved_by = ?, resolved_at = ? WHERE seq = ?", r.what, r.by, r.at, r.letter)
		if err != nil {
			return fmt.Errorf("storing the resolution of dead letter %d: %w", r.letter, err)
		}
	}
	return nil
}

// DeadLetter is a job that could not be processed.
type DeadLetter struct {
	Seq        uint64         `json:"seq"`
	Stored     time.Time      `json:"stored"`
	Reason     string         `json:"reason"`
	Detail     string         `json:"detail"`
	Subject    string         `json:"subject"`
	Stream     string         `json:"stream"`
	JobSeq     uint64         `json:"job_sequence"`
	Part       string         `json:"part,omitempty"`
	Trade      string         `json:"trade,omitempty"` // a hint from the job
	OrderID    string         `json:"order_id,omitempty"`
	Asked      capture.Amount `json:"asked,omitzero"`
	Waiting    bool           `json:"waiting"`
	Resolution string         `json:"resolution,omitempty"` // republished, dismissed
	ResolvedBy string         `json:"resolved_by,omitempty"`
	ResolvedAt time.Time      `json:"resolved_at,omitzero"`

	// set by DeadLetter only, not in lists
	Header nats.Header `json:"header,omitempty"`
	Body   []byte      `json:"body,omitempty"`
}

const letterColumns = `seq, stored, reason, detail, subject, stream, job_seq, COALESCE(part, ''), COALESCE(trade, ''), COALESCE(order_id, ''),
COALESCE(amount, ''), COALESCE(currency, ''), waiting, COALESCE(resolution, ''), COALESCE(resolved_by, ''), resolved_at`

func scanLetter(rows interface{ Scan(...any) error }, more ...any) (DeadLetter, error) {
	var l DeadLetter
	var stored int64
	var resolved sql.NullInt64
	var amount, currency string
	err := rows.Scan(append([]any{&l.Seq, &stored, &l.Reason, &l.Detail, &l.Subject, &l.Stream, &l.JobSeq, &l.Part, &l.Trade, &l.OrderID,
		&amount, &currency, &l.Waiting, &l.Resolution, &l.ResolvedBy, &resolved}, more...)...)
	l.Stored, l.ResolvedAt, l.Asked = time.UnixMicro(stored).UTC(), timeOf(resolved), amountOf(amount, currency)
	return l, err
}

// LetterQuery selects dead letters. An empty field matches all.
type LetterQuery struct {
	Trade   string // trade_id
	Order   string
	Reason  string
	Waiting bool // only those without a resolution
	Newest  bool // newest first
}

// DeadLetters lists dead letters, oldest first, without their bodies.
func (s *Store) DeadLetters(ctx context.Context, q LetterQuery, p Page) (List[DeadLetter], error) {
	l := listing{selected: "SELECT " + letterColumns + " FROM dead_letters", order: []string{"seq"}, newest: q.Newest}
	l.addIf("trade", capture.TradeKey(q.Trade))
	l.addIf("order_id", q.Order)
	l.addIf("reason", q.Reason)
	if q.Waiting {
		l.add("waiting")
	}
	return list(ctx, s, l, p, func(rows *sql.Rows) (DeadLetter, error) { return scanLetter(rows) },
		func(l DeadLetter) []any { return []any{l.Seq} })
}

// DeadLetter returns a dead letter with its headers and body. The error wraps
// ErrNotFound if there is none with that sequence.
func (s *Store) DeadLetter(ctx context.Context, seq uint64) (l DeadLetter, err error) {
	var headers string
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		var body []byte
		l, err = scanLetter(s.row(ctx, tx, "SELECT "+letterColumns+", headers, body FROM dead_letters WHERE seq = ?", int64(seq)), &headers, &body)
		l.Body = body
		return err
	})
	if err != nil {
		return DeadLetter{}, notFound(err, fmt.Sprintf("dead letter %d", seq))
	}
	if err := json.Unmarshal([]byte(headers), &l.Header); err != nil {
		return DeadLetter{}, fmt.Errorf("reading the headers of dead letter %d: %w", seq, err)
	}
	return l, nil
}
