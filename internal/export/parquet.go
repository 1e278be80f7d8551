package export

import (
	"cmp"
	"io"
	"math/big"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

const (
	// parquetScale and the precision 38 of the columns hold every amount: no
	// currency has more than four decimals.
	parquetScale = 4
	// parquetGroup bounds the rows that are held in memory.
	parquetGroup = 20_000
	parquetBatch = 500
)

// parquetRow has the columns of every export, in their order. What is empty in
// CSV is null.
type parquetRow struct {
	Outcome            string     `parquet:"outcome,dict"`
	Day                int32      `parquet:"day,date"`
	At                 time.Time  `parquet:"at,timestamp(microsecond:utc)"`
	AtIs               string     `parquet:"at_is,dict"`
	TradeID            string     `parquet:"trade_id"`
	OrderID            *string    `parquet:"order_id,optional"`
	Amount             []byte     `parquet:"amount,optional,decimal(4:38)"`
	Currency           *string    `parquet:"currency,optional,dict"`
	SettlementAmount   []byte     `parquet:"settlement_amount,optional,decimal(4:38)"`
	SettlementCurrency *string    `parquet:"settlement_currency,optional,dict"`
	SettlementText     *string    `parquet:"settlement_text,optional"`
	ExchangeRate       *string    `parquet:"exchange_rate,optional,dict"`
	PaidAt             *time.Time `parquet:"paid_at,optional,timestamp(microsecond:utc)"`
	LearnedAt          *time.Time `parquet:"learned_at,optional,timestamp(microsecond:utc)"`
	Reason             *string    `parquet:"reason,optional,dict"`
	Case               *string    `parquet:"case,optional,dict"`
	RequestID          *string    `parquet:"request_id,optional"`
	ResponseID         *string    `parquet:"response_id,optional"`
	TransactionID      *string    `parquet:"transaction_id,optional"`
	GatewayOrderID     *string    `parquet:"gateway_order_id,optional"`
	Worker             *string    `parquet:"worker,optional,dict"`
	EventID            *string    `parquet:"event_id,optional"`
	Corrections        int64      `parquet:"corrections"`
	Corrects           *string    `parquet:"corrects,optional"`
	CorrectedOutcome   *string    `parquet:"corrected_outcome,optional,dict"`
	CorrectedAt        *time.Time `parquet:"corrected_at,optional,timestamp(microsecond:utc)"`
	Flaws              int64      `parquet:"flaws"`
}

// parquetCleared has the columns of a clearing report behind those.
type parquetCleared struct {
	parquetRow
	ClearedAmount    []byte  `parquet:"cleared_amount,optional,decimal(4:38)"`
	ClearedFee       []byte  `parquet:"cleared_fee,optional,decimal(4:38)"`
	ClearedCurrency  *string `parquet:"cleared_currency,optional,dict"`
	ClearedReference *string `parquet:"cleared_reference,optional,dict"`
}

// parquetTotal is a row of the totals.
type parquetTotal struct {
	Day      *string `parquet:"day,optional"`
	Outcome  string  `parquet:"outcome"`
	What     string  `parquet:"what"`
	Currency *string `parquet:"currency,optional"`
	Trades   int64   `parquet:"trades"`
	Amount   []byte  `parquet:"amount,optional,decimal(4:38)"`
}

// parquetWriter writes the rows to one file and the totals to another. What is
// known about the export is in the metadata of both.
type parquetWriter[T any] struct {
	to     *parquet.GenericWriter[T]
	totals io.Writer // nil: not written
	make   func(*Row) T
	batch  []T
	inside int // rows of the present group
}

func newParquet(rows, totals io.Writer, cleared bool) writer {
	if cleared {
		return &parquetWriter[parquetCleared]{to: parquet.NewGenericWriter[parquetCleared](rows, parquetOptions()...), totals: totals, make: clearedOf}
	}
	return &parquetWriter[parquetRow]{to: parquet.NewGenericWriter[parquetRow](rows, parquetOptions()...), totals: totals, make: parquetRowOf}
}

func parquetOptions() []parquet.WriterOption {
	return []parquet.WriterOption{parquet.Compression(&zstd.Codec{}), parquet.CreatedBy("capture-worker", "", "")}
}

func (w *parquetWriter[T]) row(r *Row) error {
	if w.batch = append(w.batch, w.make(r)); len(w.batch) < parquetBatch {
		return nil
	}
	return w.flush()
}

func (w *parquetWriter[T]) flush() error {
	if _, err := w.to.Write(w.batch); err != nil {
		return err
	}
	w.inside += len(w.batch)
	clear(w.batch)
	w.batch = w.batch[:0]
	if w.inside < parquetGroup {
		return nil
	}
	w.inside = 0
	return w.to.Flush()
}

func (w *parquetWriter[T]) finish(about About, totals []Total) error {
	if err := w.flush(); err != nil {
		return err
	}
	for _, fact := range about.facts() {
		w.to.SetKeyValueMetadata(fact[0], fact[1])
	}
	if err := w.to.Close(); err != nil || w.totals == nil {
		return err
	}
	out := parquet.NewGenericWriter[parquetTotal](w.totals, parquetOptions()...)
	for _, fact := range about.facts() {
		out.SetKeyValueMetadata(fact[0], fact[1])
	}
	for _, t := range totals {
		row := parquetTotal{Day: some(t.Day), Outcome: string(t.Outcome), What: t.What, Currency: some(t.Currency), Trades: t.Trades, Amount: scaled(t.Amount)}
		if _, err := out.Write([]parquetTotal{row}); err != nil {
			return err
		}
	}
	return out.Close()
}

func parquetRowOf(r *Row) parquetRow {
	settled := r.settled()
	row := parquetRow{
		Outcome: string(r.Phase), Day: epochDay(r.At), At: r.At, AtIs: string(r.AtIs), TradeID: r.TradeID, OrderID: some(r.OrderID),
		Amount: scaled(r.sum().Number()), Currency: some(r.sum().Currency()),
		SettlementAmount: scaled(settled.Number()), SettlementCurrency: some(r.SettlementCurrency), ExchangeRate: some(r.ExchangeRate),
		PaidAt: someTime(r.PaidAt), LearnedAt: someTime(r.LearnedAt), Reason: some(r.Reason), Case: some(r.Case),
		RequestID: some(r.RequestID), ResponseID: some(r.ResponseID), TransactionID: some(r.TransactionID), GatewayOrderID: some(r.GatewayOrder),
		Worker: some(r.Worker), EventID: some(r.OutcomeID), Corrections: int64(r.Corrections), Corrects: some(r.Corrects),
		CorrectedOutcome: some(string(r.Corrected)), CorrectedAt: someTime(r.CorrectedAt), Flaws: int64(r.Flaws),
	}
	if settled.IsZero() {
		row.SettlementText = some(r.SettlementAmount)
	}
	return row
}

func clearedOf(r *Row) parquetCleared {
	c := r.Cleared
	return parquetCleared{
		parquetRow: parquetRowOf(r), ClearedAmount: scaled(c.Amount.Number()), ClearedFee: scaled(c.Fee.Number()),
		ClearedCurrency: some(cmp.Or(c.Amount, c.Fee).Currency()), ClearedReference: some(c.Reference),
	}
}

func some(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func someTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// epochDay is the day of a time in its own zone, as Parquet counts days.
func epochDay(t time.Time) int32 {
	y, m, d := t.Date()
	return int32(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / (24 * 60 * 60))
}

// scaled is a decimal as Parquet has it: units of the last decimal as a
// big-endian integer of 16 bytes. It is nil for none.
func scaled(number string) []byte {
	whole, fraction, _ := strings.Cut(number, ".")
	if number == "" || len(fraction) > parquetScale {
		return nil
	}
	n, ok := new(big.Int).SetString(whole+fraction+strings.Repeat("0", parquetScale-len(fraction)), 10)
	if !ok || n.Sign() < 0 {
		return nil
	}
	return n.FillBytes(make([]byte, 16))
}
