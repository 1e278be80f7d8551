package export_test

import (
	"fmt"
	"iter"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/export"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/internal/records"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, processtest.Leftovers()) }

var amsterdam = mustZone("Europe/Amsterdam")

func mustZone(name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return zone
}

// november is the period of most tests.
func november(t testing.TB) export.Period {
	t.Helper()
	p, err := export.Month("2026-11", amsterdam)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func options(t testing.TB, by records.Clock) export.Options {
	return export.Options{
		Period: november(t), By: by, Version: "test", Source: "ledger", Now: time.Date(2026, 12, 3, 8, 0, 0, 0, time.UTC),
	}
}

// filled returns records that hold the events, one behind the other.
func filled(t testing.TB, events iter.Seq[capture.Event]) *records.Store {
	t.Helper()
	store, err := records.Open(t.Context(), filepath.Join(t.TempDir(), "records.db"), records.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	w, err := store.Writer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Fill(t.Context(), records.Place{Source: records.SourceLedger, Stream: "CAPTURES", First: 1}, stored(t, events), w.ApplyLedger); err != nil {
		t.Fatal(err)
	}
	return store
}

func stored(t testing.TB, events iter.Seq[capture.Event]) iter.Seq2[records.Message, error] {
	return func(yield func(records.Message, error) bool) {
		last := map[string]uint64{}
		seq := uint64(0)
		for e := range events {
			raw, err := e.Encode()
			if err != nil {
				t.Fatal(err)
			}
			seq++
			header := nats.Header{"Capture-After": {strconv.FormatUint(last[e.TradeID], 10)}}
			m := records.Message{Seq: seq, Stored: e.Time, Subject: "captures." + e.TradeID + "." + string(e.Type), Header: header, Body: raw}
			if e.Type.Outcome() {
				delete(last, e.TradeID) // the map stays small
			} else {
				last[e.TradeID] = seq
			}
			if !yield(m, nil) {
				return
			}
		}
	}
}

func amount(t testing.TB, number, currency string) capture.Amount {
	t.Helper()
	a, err := capture.ParseAmount(number, currency)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// sale is a trade of the tests.
type sale struct {
	trade, order, number, currency, settled string
	at                                      time.Time // of the outcome
	paid                                    time.Time // as the gateway says it
}

func (s sale) attempted(t testing.TB) capture.Event {
	return capture.Event{
		ID: s.trade + "-1", Type: capture.Attempted, TradeID: s.trade, Time: s.at.Add(-time.Second), Worker: "w1", Attempt: 1, Call: 1,
		RequestID: "req-" + s.trade, LeaseUntil: s.at.Add(time.Minute), OrderID: s.order,
		Job: &capture.Job{TradeID: s.trade, Amount: amount(t, s.number, s.currency), OrderID: s.order},
	}
}

func (s sale) captured(t testing.TB) capture.Event {
	order := &capture.Order{
		TradeID: s.trade, OrderID: "G-" + s.trade, State: capture.OrderPaid, Amount: amount(t, s.number, s.currency),
		SettlementAmount: s.settled, SettlementCurrency: "CNY", ExchangeRate: "7.8123", TransactionID: "tx-" + s.trade,
	}
	if !s.paid.IsZero() {
		order.PaidTime = strconv.FormatInt(s.paid.Unix(), 10)
	}
	return capture.Event{
		ID: s.trade + "-2", Type: capture.Captured, TradeID: s.trade, Time: s.at, Worker: "w1", Attempt: 1, Call: 1, RequestID: "req-" + s.trade,
		Via: capture.ViaCapture, Amount: s.number, Currency: s.currency, OrderID: s.order, Rule: "done",
		Answer: &capture.Answer{Kind: capture.AnswerDone, Code: "200", ResponseID: "resp-" + s.trade, Order: order},
	}
}

// ended is another outcome of the trade.
func (s sale) ended(as capture.EventType, reason string) capture.Event {
	return capture.Event{
		ID: s.trade + "-" + string(as), Type: as, TradeID: s.trade, Time: s.at, Worker: "w2", Attempt: 1, Via: capture.ViaQuery, Reason: reason, OrderID: s.order,
	}
}

// at is a time in November, in Amsterdam.
func at(day, hour int) time.Time { return time.Date(2026, 11, day, hour, 30, 0, 0, amsterdam) }

// aMonth is November with one of each kind, and what is before and after it.
func aMonth(t testing.TB) iter.Seq[capture.Event] {
	big := sale{trade: "T-big", order: "A-5", number: "123456789012345.67", currency: "EUR", settled: "0", at: at(30, 23)}
	first := sale{trade: "T-first", order: "A-1", number: "24.99", currency: "EUR", settled: "195.23", at: at(1, 0)}
	yen := sale{trade: "T-yen", order: "=cmd|' /C calc'!A0", number: "500", currency: "JPY", settled: "24.10", at: at(2, 12), paid: at(1, 23)}
	dinar := sale{trade: "T-dinar", order: "A-3", number: "1.250", currency: "KWD", settled: "29.80", at: at(2, 13)}
	failed := sale{trade: "T-failed", order: "A-6", number: "10.00", currency: "EUR", at: at(3, 9)}
	parked := sale{trade: "T-parked", order: "A-7", number: "11.00", currency: "EUR", at: at(4, 9)}
	late := sale{trade: "T-late", order: "A-8", number: "12.00", currency: "EUR", settled: "93.75", at: at(5, 9)}
	october := sale{trade: "T-october", order: "A-9", number: "13.00", currency: "EUR", settled: "1.00", at: time.Date(2026, 10, 31, 23, 59, 59, 0, amsterdam)}
	paidBefore := sale{trade: "T-paid-before", order: "A-10", number: "14.00", currency: "EUR", settled: "1.00", at: at(1, 1), paid: time.Date(2026, 10, 31, 23, 0, 0, 0, amsterdam)}
	after := sale{trade: "T-after", order: "A-11", number: "15.00", currency: "EUR", settled: "1.00", at: time.Date(2026, 12, 1, 0, 0, 0, 0, amsterdam)}
	corrected := late.captured(t)
	wrong := late
	wrong.at = time.Date(2026, 10, 30, 12, 0, 0, 0, time.UTC)
	mistake := wrong.ended(capture.Failed, "declined")
	corrected.Corrects, corrected.Via = mistake.ID, capture.ViaQuery
	return func(yield func(capture.Event) bool) {
		for _, e := range []capture.Event{
			wrong.attempted(t), mistake, october.attempted(t), october.captured(t), first.attempted(t), first.captured(t), paidBefore.attempted(t), paidBefore.captured(t),
			yen.attempted(t), yen.captured(t), dinar.attempted(t), dinar.captured(t), failed.attempted(t), failed.ended(capture.Failed, "declined"),
			parked.attempted(t), parked.ended(capture.Parked, capture.ReasonUnresolved), corrected, big.attempted(t), big.captured(t), after.attempted(t), after.captured(t),
		} {
			if !yield(e) {
				return
			}
		}
	}
}

// manySales are captured trades, over the days of November.
func manySales(t testing.TB, n int) iter.Seq[capture.Event] {
	return func(yield func(capture.Event) bool) {
		for i := range n {
			s := sale{
				trade: fmt.Sprintf("T-%07d", i), order: fmt.Sprintf("A-%07d", i), number: fmt.Sprintf("%d.%02d", 1+i%500, i%100), currency: "EUR", settled: "10.00",
				at: at(1, 0).Add(time.Duration(i) * (29 * 24 * time.Hour) / time.Duration(n)),
			}
			if !yield(s.attempted(t)) || !yield(s.captured(t)) {
				return
			}
		}
	}
}
