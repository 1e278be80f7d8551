//go:build unix

package records

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/pgtest"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, processtest.Leftovers()) }

// database makes empty databases of one kind.
type database func(t *testing.T) (dsn string)

func sqlite(t *testing.T) string { return filepath.Join(t.TempDir(), "records.db") }

// conformance is what every database has to do.
var conformance = []struct {
	name string
	test func(*testing.T, database)
}{
	{"finds trades by any id", findTradesByAnyID},
	{"pages are whole and end together", pagesAreWholeAndEndTogether},
	{"cases are those that are not settled", casesAreThoseThatAreNotSettled},
	{"sums are exact and by the day of the zone", sumsAreExactAndByTheDayOfTheZone},
	{"dead letters and what was done about them", deadLettersAndWhatWasDoneAboutThem},
	{"acts of the ledger", actsOfTheLedger},
	{"flawed events are kept", flawedEventsAreKept},
	{"of two writers the newer one wins", ofTwoWritersTheNewerOneWins},
	{"a reader changes nothing", aReaderChangesNothing},
	{"follows the streams", followsTheStreams},
	{"a rebuild fills it and ends", rebuildFillsAnewAndEnds},
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	for _, c := range conformance {
		t.Run(c.name, func(t *testing.T) { c.test(t, sqlite) })
	}
}

func TestPostgres(t *testing.T) {
	processtest.Long(t)
	t.Parallel()
	fresh := postgres(t)
	for _, c := range conformance {
		t.Run(c.name, func(t *testing.T) { c.test(t, fresh) })
	}
}

// postgres starts a server for the test, with a database for each call.
func postgres(t *testing.T) database {
	server := pgtest.Start(t)
	n := 0
	return func(t *testing.T) string {
		n++
		return server.URL(fmt.Sprintf("records_%d", n))
	}
}

// both runs a long test on SQLite and on Postgres.
func both(t *testing.T, test func(*testing.T, database)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { test(t, sqlite) })
	t.Run("postgres", func(t *testing.T) { test(t, postgres(t)) })
}

func openStore(t *testing.T, dsn string) *Store {
	t.Helper()
	s, err := Open(t.Context(), dsn, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// filled is a store that holds the entries, and its writer.
func filled(t *testing.T, dsn string, entries []Entry) (*Store, *Writer) {
	t.Helper()
	s := openStore(t, dsn)
	w, err := s.Writer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	begin(t, w)
	if err := w.ApplyEvents(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	return s, w
}

var epoch = time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)

func begin(t *testing.T, w *Writer) {
	t.Helper()
	for source, stream := range map[Source]string{SourceLedger: "CAPTURES", SourceDeadLetters: "CAPTURE_DLQ"} {
		if err := w.Begin(t.Context(), Place{Source: source, Stream: stream, Created: epoch, First: 1}); err != nil {
			t.Fatal(err)
		}
	}
}

// entriesOf puts events into a ledger, one behind the other.
func entriesOf(t *testing.T, events ...capture.Event) []Entry {
	t.Helper()
	last := map[string]uint64{}
	var entries []Entry
	for i, e := range events {
		raw, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		seq := uint64(i + 1)
		entries = append(entries, Entry{Seq: seq, Stored: e.Time.Add(time.Millisecond), Trade: e.TradeID, Type: e.Type, After: last[e.TradeID], Raw: raw})
		last[e.TradeID] = seq
	}
	return entries
}

func amount(t testing.TB, number, currency string) capture.Amount {
	t.Helper()
	a, err := capture.ParseAmount(number, currency)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func jobOf(t testing.TB, trade, order, number, currency string) *capture.Job {
	t.Helper()
	return &capture.Job{TradeID: trade, Amount: amount(t, number, currency), OrderID: order, AuthorizedAt: epoch.Add(-time.Hour)}
}

// story of a trade that is captured by its first call.
func capturedEvents(t testing.TB, trade, order, number, currency string, at time.Time) []capture.Event {
	t.Helper()
	job := jobOf(t, trade, order, number, currency)
	return []capture.Event{
		{ID: trade + "-1", Type: capture.Attempted, TradeID: trade, Time: at, Worker: "w1", Attempt: 1, Call: 1, RequestID: "req-" + trade, LeaseUntil: at.Add(time.Minute), Job: job, OrderID: order},
		{ID: trade + "-2", Type: capture.Captured, TradeID: trade, Time: at.Add(time.Second), Worker: "w1", Rule: "done", Attempt: 1, Call: 1, RequestID: "req-" + trade,
			Via: capture.ViaCapture, Amount: number, Currency: currency, OrderID: order,
			Answer: &capture.Answer{Kind: capture.AnswerDone, Code: "200", ResponseID: "resp-" + trade, Order: &capture.Order{
				TradeID: trade, OrderID: "G-" + trade, State: capture.OrderPaid, Amount: amount(t, number, currency),
				SettlementAmount: "27.10", SettlementCurrency: "CNY", ExchangeRate: "7.8123", TransactionID: "tx-" + trade,
			}}},
	}
}

// randomEvents are events of so many trades, in an order that may be the
// ledger's: of each trade a plausible beginning and then anything.
func randomEvents(seed uint64, trades, events int) []capture.Event {
	r := rand.New(rand.NewPCG(seed, 0))
	types := capture.EventTypes()
	calls := make([]int, trades)
	var list []capture.Event
	for i := range events {
		n := r.IntN(trades)
		trade := fmt.Sprintf("t%03d", n)
		e := capture.Event{
			ID: fmt.Sprintf("e%06d", i), Type: types[r.IntN(len(types))], TradeID: trade,
			Time: epoch.Add(time.Duration(i) * 1234567 * time.Microsecond), Worker: fmt.Sprintf("w%d", r.IntN(3)),
		}
		if calls[n] == 0 && r.IntN(4) > 0 {
			e.Type = capture.Attempted
		}
		randomMembers(r, &e, &calls[n])
		list = append(list, e)
	}
	return list
}

func randomMembers(r *rand.Rand, e *capture.Event, calls *int) {
	sum, _ := capture.ParseAmount(fmt.Sprintf("%d.%02d", 1+r.IntN(90), r.IntN(100)), "EUR")
	job := &capture.Job{TradeID: e.TradeID, Amount: sum, OrderID: fmt.Sprintf("A-%d", r.IntN(40)), AuthorizedAt: epoch}
	states := []capture.OrderState{capture.OrderPaid, capture.OrderAuthorized, capture.OrderPending, capture.OrderDeclined}
	answer := &capture.Answer{
		Kind: []capture.AnswerKind{capture.AnswerDone, capture.AnswerRefused, capture.AnswerUnknown}[r.IntN(3)],
		Code: []string{"200", "-1000", "-4084", "-4024", ""}[r.IntN(5)], ResponseID: "r" + e.ID, Latency: time.Duration(r.IntN(1e9)),
	}
	if r.IntN(3) > 0 {
		answer.Order = &capture.Order{
			TradeID: e.TradeID, OrderID: "g" + e.TradeID, State: states[r.IntN(4)], Amount: sum, TransactionID: "x" + e.ID,
			SettlementAmount: "3.21", SettlementCurrency: "CNY", ExchangeRate: "7.1", PaidTime: fmt.Sprint(1793000000 + r.IntN(1e6)),
		}
	}
	switch e.Type {
	case capture.Attempted:
		*calls++
		e.Call, e.Attempt, e.RequestID, e.Job, e.LeaseUntil = *calls, 1+r.IntN(3), fmt.Sprintf("q%s-%d", e.TradeID, r.IntN(3)), job, e.Time.Add(time.Minute)
	case capture.Answered, capture.Queried:
		e.Call, e.Answer, e.RetryAt = *calls, answer, e.Time.Add(time.Minute)
	case capture.Notified:
		e.Notification = &capture.Notification{State: states[r.IntN(4)], TransactionID: "n" + e.ID, PaidTime: "1793000001"}
	case capture.Released, capture.Retried, capture.Withdrawn, capture.Dismissed:
		e.By, e.Note = "ann", "because"
	case capture.Captured:
		e.Call, e.Via, e.Answer, e.Amount, e.Currency = *calls, capture.ViaQuery, answer, sum.Number(), "EUR"
		if r.IntN(3) > 0 { // most trades continue
			e.Type, e.Reason = capture.Parked, capture.ReasonUnresolved
		}
	case capture.Failed, capture.Parked:
		e.Via, e.Answer, e.Reason, e.Corrects = capture.ViaQuery, answer, capture.ReasonUnresolved, "e000001"
	}
}

// tables of the model, with what orders their rows.
var tables = map[string]string{
	"events": "seq", "trades": "trade", "orders": "order_id, trade", "dead_letters": "seq", "acts": "source, seq",
	"sources": "source",
}

// dump writes all that a store holds.
func dump(t *testing.T, s *Store) string {
	t.Helper()
	return dumpTables(t, s, "sources", "events", "trades", "orders", "dead_letters", "acts")
}

// dumpTables writes rows one a line, the same for both databases.
func dumpTables(t *testing.T, s *Store, names ...string) string {
	t.Helper()
	var b strings.Builder
	err := s.read(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		for _, name := range names {
			rows, err := s.query(ctx, tx, "SELECT * FROM "+name+" ORDER BY "+tables[name])
			if err != nil {
				return err
			}
			columns, err := rows.Columns()
			if err != nil {
				return err
			}
			err = each(rows, func() error {
				values := make([]any, len(columns))
				for i := range values {
					values[i] = new(any)
				}
				err := rows.Scan(values...)
				fmt.Fprintf(&b, "%s:", name)
				for i, v := range values {
					v := *v.(*any)
					switch known := v.(type) {
					case []byte:
						v = string(known)
					case bool: // as SQLite has it
						v = map[bool]int{true: 1}[known]
					}
					fmt.Fprintf(&b, " %s=%v", columns[i], v)
				}
				b.WriteByte('\n')
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// sameDump fails with the first line that differs.
func sameDump(t *testing.T, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Fatalf("the model differs in row %d\n got %s\nwant %s", i, g[i], w[i])
		}
	}
	t.Fatalf("the model has %d rows, want %d", len(g), len(w))
}

// reference is the model filled event by event, by writers that remember
// nothing.
func reference(t *testing.T, entries []Entry) string {
	t.Helper()
	return dump(t, referenceStore(t, entries))
}

func referenceStore(t *testing.T, entries []Entry) *Store {
	t.Helper()
	s := openStore(t, sqlite(t))
	w, err := s.Writer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	begin(t, w)
	for _, e := range entries {
		w.cache.forget()
		if err := w.ApplyEvents(t.Context(), []Entry{e}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// sameFold holds every trade's state to the fold of its events.
func sameFold(t *testing.T, s *Store, events map[string][]capture.Event) {
	t.Helper()
	for trade, list := range events {
		got, _, err := s.State(t.Context(), trade)
		if err != nil {
			t.Fatal(err)
		}
		if want := capture.Fold(list); !reflect.DeepEqual(got, want) {
			t.Errorf("trade %s: the model folds to %s, want %s", trade, jsonText(t, got), jsonText(t, want))
		}
		row, _, err := s.Trade(t.Context(), trade)
		if err != nil {
			t.Fatal(err)
		}
		if want := capture.Fold(list); row.Phase != want.Phase && !(row.Phase == capture.PhaseNew && want.Phase == "") || row.Events != want.Events {
			t.Errorf("trade %s: row %s with %d events, fold %s with %d", trade, row.Phase, row.Events, want.Phase, want.Events)
		}
	}
}

func jsonText(t *testing.T, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// decoded reads the events back from their stored form, by trade.
func decoded(t *testing.T, entries []Entry) map[string][]capture.Event {
	t.Helper()
	byTrade := map[string][]capture.Event{}
	for _, entry := range entries {
		e, err := capture.DecodeEvent(entry.Raw)
		if err != nil {
			t.Fatal(err)
		}
		byTrade[entry.Trade] = append(byTrade[entry.Trade], e)
	}
	return byTrade
}
