//go:build unix

package records

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/acts"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

// Batches of any size, some of them repeated, add up to what single events do.
func TestAnyBatchesAddUpToTheSame(t *testing.T) {
	processtest.Long(t)
	both(t, func(t *testing.T, fresh database) {
		entries := entriesOf(t, randomEvents(1, 60, 1500)...)
		want := reference(t, entries)
		for seed := range uint64(3) {
			s := openStore(t, fresh(t))
			w, err := s.Writer(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			begin(t, w)
			w.cache.most = 16 // most trades are read back
			r := rand.New(rand.NewPCG(seed, 9))
			for at := 0; at < len(entries); {
				n := min(1+r.IntN(200), len(entries)-at)
				from := max(at-r.IntN(20), 0) // a part of it for the second time
				if err := w.ApplyEvents(t.Context(), entries[from:at+n]); err != nil {
					t.Fatal(err)
				}
				at += n
			}
			sameDump(t, dump(t, s), want)
			sameFold(t, s, decoded(t, entries))
		}
	})
}

func findTradesByAnyID(t *testing.T, fresh database) {
	const uuid = "160899f3-f6d9-a8d8-ab5b-82eacdab9c5b"
	events := capturedEvents(t, uuid, "A-1001", "24.99", "EUR", epoch)
	events = append(events, capturedEvents(t, "other", "A-1002", "500", "JPY", epoch.Add(time.Hour))...)
	s, _ := filled(t, fresh(t), entriesOf(t, events...))
	for _, id := range []string{
		uuid, "160899F3-F6D9-A8D8-AB5B-82EACDAB9C5B", "A-1001", "req-" + uuid, "resp-" + uuid, "tx-" + uuid, "G-" + uuid, uuid + "-2",
	} {
		got, err := s.FindTrades(t.Context(), id, Page{})
		if err != nil || len(got.Items) != 1 || got.Items[0].Key != uuid || got.AsOf != 4 {
			t.Errorf("%s: %+v, %v", id, got, err)
		}
	}
	for id, n := range map[string]int{"nothing": 0, "": 2, "a\x00b": 0} {
		if got, err := s.FindTrades(t.Context(), id, Page{}); err != nil || len(got.Items) != n {
			t.Errorf("%q: %d trades, %v; want %d", id, len(got.Items), err, n)
		}
	}
	checkCaptured(t, s, uuid)
}

func checkCaptured(t *testing.T, s *Store, trade string) {
	t.Helper()
	got, asOf, err := s.Trade(t.Context(), trade)
	if err != nil || asOf != 4 {
		t.Fatalf("as of %d, %v", asOf, err)
	}
	want := Trade{
		Key: trade, TradeID: trade, Phase: capture.PhaseCaptured, Events: 2, FirstSeq: 1, LastSeq: 2, FirstAt: epoch, LastAt: epoch.Add(time.Second),
		LastType: capture.Captured, OrderID: "A-1001", Asked: amount(t, "24.99", "EUR"), OutcomeID: trade + "-2",
		LearnedAt: epoch.Add(time.Second), BookedAt: epoch.Add(time.Second), Taken: amount(t, "24.99", "EUR"),
		SettlementAmount: "27.10", SettlementCurrency: "CNY", ExchangeRate: "7.8123", TransactionID: "tx-" + trade, GatewayOrder: "G-" + trade,
		ResponseID: "resp-" + trade, RequestID: "req-" + trade, Attempt: 1, Calls: 1, Worker: "w1", Rule: "done",
		OpenedAt: epoch.Add(time.Second), Deadline: epoch.Add(-time.Hour).Add(capture.AuthorizationWindow),
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if _, _, err := s.Trade(t.Context(), "nothing"); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown trade: %v", err)
	}
	list, err := s.Events(t.Context(), trade, Page{})
	if err != nil || len(list.Items) != 2 || list.Items[1].ID != trade+"-2" || list.Items[1].After != 1 || list.Items[1].Flaw != "" {
		t.Errorf("events %+v, %v", list, err)
	}
	if e, err := capture.DecodeEvent(list.Items[1].Raw); err != nil || e.Type != capture.Captured {
		t.Errorf("the stored event is %s, %v", list.Items[1].Raw, err)
	}
}

func pagesAreWholeAndEndTogether(t *testing.T, fresh database) {
	var events []capture.Event
	for i := range 25 {
		trade := string(rune('a'+i)) + "-trade"
		job := jobOf(t, trade, "one", "1.00", "EUR")
		job.CaptureBefore = epoch.Add(time.Duration(i%5) * time.Hour) // some fall together
		events = append(events, capture.Event{ID: trade, Type: capture.Parked, TradeID: trade, Time: epoch, Job: job, Reason: capture.ReasonUnresolved, OrderID: "one"})
	}
	s, _ := filled(t, fresh(t), entriesOf(t, events...))
	for name, page := range map[string]func(Page) (List[Trade], error){
		"find": func(p Page) (List[Trade], error) { return s.FindTrades(t.Context(), "one", p) },
		"all":  func(p Page) (List[Trade], error) { return s.FindTrades(t.Context(), "", p) },
		"due":  func(p Page) (List[Trade], error) { return s.ListCases(t.Context(), CaseQuery{Kind: CaseParked}, p) },
		"age": func(p Page) (List[Trade], error) {
			return s.ListCases(t.Context(), CaseQuery{Kind: CaseParked, ByAge: true}, p)
		},
		"order": func(p Page) (List[Trade], error) { return s.TradesOfOrder(t.Context(), "one", p) },
	} {
		seen := map[string]bool{}
		pages, cursor := 0, ""
		for done := false; !done; pages++ {
			got, err := page(Page{Limit: 4, Cursor: cursor})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, trade := range got.Items {
				if seen[trade.Key] {
					t.Errorf("%s: %s comes twice", name, trade.Key)
				}
				seen[trade.Key] = true
			}
			cursor, done = got.Next, got.Next == ""
		}
		if len(seen) != 25 || pages != 7 {
			t.Errorf("%s: %d trades on %d pages", name, len(seen), pages)
		}
		for _, bad := range []string{"!", "e30", "WyJhIiwiYiIsImMiXQ"} {
			if _, err := page(Page{Cursor: bad}); !errors.Is(err, ErrCursor) {
				t.Errorf("%s: cursor %q: %v", name, bad, err)
			}
		}
	}
}

func casesAreThoseThatAreNotSettled(t *testing.T, fresh database) {
	park := func(trade, number, currency string, at time.Time) capture.Event {
		return capture.Event{ID: "p" + trade, Type: capture.Parked, TradeID: trade, Time: at, Job: jobOf(t, trade, "", number, currency), Reason: capture.ReasonUnresolved}
	}
	events := capturedEvents(t, "done", "", "1.00", "EUR", epoch)
	events = append(events, capturedEvents(t, "open", "", "2.00", "EUR", epoch.Add(2*time.Hour))[0],
		park("parked", "3.50", "EUR", epoch), park("later", "4", "JPY", epoch.Add(time.Hour)), park("closed", "9.00", "EUR", epoch),
		capture.Event{ID: "d", Type: capture.Dismissed, TradeID: "closed", Time: epoch, By: "ann", Note: "refunded by hand"},
		capture.Event{ID: "f", Type: capture.Failed, TradeID: "failed", Time: epoch, Job: jobOf(t, "failed", "", "5.00", "EUR"), Reason: capture.ReasonTradeIncorrect},
		capture.Event{ID: "n", Type: capture.Notified, TradeID: "failed", Time: epoch.Add(time.Minute), Notification: &capture.Notification{State: capture.OrderPaid, PaidTime: "1793000000"}})
	s, _ := filled(t, fresh(t), entriesOf(t, events...))
	for _, c := range []struct {
		q    CaseQuery
		want []string
	}{
		{CaseQuery{Kind: CaseParked, ByAge: true}, []string{"parked", "later"}},
		{CaseQuery{Kind: CaseOpen}, []string{"open"}},
		{CaseQuery{Kind: CaseContradicted}, []string{"failed"}},
		{CaseQuery{Kind: CaseParked, Currency: "JPY"}, []string{"later"}},
		{CaseQuery{Kind: CaseParked, Reason: capture.ReasonRefunded}, nil},
		{CaseQuery{Kind: CaseParked, OpenedBefore: epoch.Add(time.Minute)}, []string{"parked"}},
		{CaseQuery{Kind: CaseParked, DeadlineBefore: epoch}, nil},
	} {
		got, err := s.ListCases(t.Context(), c.q, Page{})
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		for _, trade := range got.Items {
			keys = append(keys, trade.Key)
		}
		if jsonText(t, keys) != jsonText(t, c.want) {
			t.Errorf("%+v: %v, want %v", c.q, keys, c.want)
		}
	}
	sums, err := s.SumCases(t.Context())
	if err != nil || len(sums.Items) != 4 || sums.Items[2].Total != (Total{Trades: 1, Amount: "3.50"}) || sums.Items[3].Total.Amount != "4" {
		t.Errorf("sums %+v, %v", sums, err)
	}
	counts, _, err := s.Counts(t.Context())
	if err != nil || counts[capture.PhaseCaptured] != 1 || counts[capture.PhaseParked] != 3 || counts[capture.PhaseCalling] != 1 || counts[capture.PhaseFailed] != 1 {
		t.Errorf("counts %v, %v", counts, err)
	}
}

func sumsAreExactAndByTheDayOfTheZone(t *testing.T, fresh database) {
	amsterdam, err := time.LoadLocation("Europe/Amsterdam")
	if err != nil {
		t.Skip(err)
	}
	// The night in which summer time ends has 25 hours.
	midnight := time.Date(2026, 10, 25, 0, 0, 0, 0, amsterdam)
	var events []capture.Event
	for i, c := range []struct {
		at     time.Time
		number string
	}{
		{midnight.Add(-2 * time.Second), "0.01"}, {midnight, "0.02"}, {midnight.Add(25*time.Hour - 2*time.Second), "900000000000000.00"},
		{midnight.Add(24 * time.Hour), "900000000000000.04"}, {midnight.Add(25 * time.Hour), "0.08"},
	} {
		events = append(events, capturedEvents(t, string(rune('a'+i)), "", c.number, "EUR", c.at)...)
	}
	for range 200 { // their sum is above what fits into 64 bits
		n := len(events)
		events = append(events, capturedEvents(t, "z"+string(rune('a'+n/26%26))+string(rune('a'+n%26))+string(rune('a'+n/676)), "", "900000000000000.00", "EUR", midnight.Add(time.Hour))...)
	}
	s, _ := filled(t, fresh(t), entriesOf(t, events...))
	q := SumQuery{From: midnight.AddDate(0, 0, -1), To: midnight.AddDate(0, 0, 2), Zone: amsterdam, Daily: true}
	got, err := s.Sums(t.Context(), q)
	if err != nil || len(got.Items) != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	for i, want := range []Sum{
		{Day: "2026-10-24", Total: Total{Trades: 1, Amount: "0.01"}},
		{Day: "2026-10-25", Total: Total{Trades: 203, Amount: "181800000000000000.06"}},
		{Day: "2026-10-26", Total: Total{Trades: 1, Amount: "0.08"}},
	} {
		want.Phase, want.Currency = capture.PhaseCaptured, "EUR"
		if got.Items[i] != want {
			t.Errorf("got %+v, want %+v", got.Items[i], want)
		}
	}
	q.Daily, q.By = false, ByPaid
	if got, err = s.Sums(t.Context(), q); err != nil || len(got.Items) != 1 || got.Items[0].Total.Amount != "181800000000000000.15" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []SumQuery{{}, {From: epoch, To: epoch}, {From: epoch, To: epoch.AddDate(2, 0, 0), Daily: true}} {
		if _, err := s.Sums(t.Context(), bad); !errors.Is(err, ErrPeriod) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func deadLettersAndWhatWasDoneAboutThem(t *testing.T, fresh database) {
	s, w := filled(t, fresh(t), nil)
	decoder, err := capture.NewDecoder(capture.Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	header := nats.Header{deadletter.HeaderReason: {"conflict"}, deadletter.HeaderSubject: {"capture.jobs.shipped"}, deadletter.HeaderStream: {"CAPTURE_JOBS"}, deadletter.HeaderSequence: {"7"}, "X-Own": {"1"}}
	good := []byte(`{"trade_id":"160899F3-F6D9-A8D8-AB5B-82EACDAB9C5B","amount":"24.99","currency":"EUR","order_id":"A-1"}`)
	letters := []Message{
		{Seq: 1, Stored: epoch, Subject: "capture.dlq.conflict", Header: header, Body: good},
		{Seq: 2, Stored: epoch, Subject: "capture.dlq.not_json", Body: []byte("\x00\xff not json")},
		{Seq: 3, Stored: epoch, Subject: "capture.dlq.not_json", Body: nil},
		{Seq: 5, Stored: epoch, Subject: deadletter.RepublishedSubject + "1", Body: []byte(`{"letter":1,"trade_id":"t1","amount":"24.99","currency":"EUR","by":"ann","note":"fixed","time":"2026-11-03T10:00:00Z"}`)},
		{Seq: 6, Stored: epoch, Subject: deadletter.DismissedSubject + "2", Body: []byte(`{"letter":2,"by":"bob","note":"a test","time":"2026-11-04T10:00:00Z"}`)},
		{Seq: 7, Stored: epoch, Subject: deadletter.DismissedSubject + "3", Body: []byte(`nonsense`)},
		{Seq: 8, Stored: epoch, Subject: deadletter.DismissedSubject + "3", Body: []byte(`null`)},
	}
	for range 2 { // the second time it is a repetition
		if err := w.ApplyLetters(t.Context(), letters, decoder); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		q    LetterQuery
		want int
	}{
		{LetterQuery{}, 3}, {LetterQuery{Waiting: true}, 1}, {LetterQuery{Order: "A-1"}, 1}, {LetterQuery{Reason: "not_json", Newest: true}, 2},
		{LetterQuery{Trade: "160899F3-f6d9-A8D8-AB5B-82EACDAB9C5B"}, 1}, {LetterQuery{Order: "A-2"}, 0},
	} {
		if got, err := s.DeadLetters(t.Context(), c.q, Page{}); err != nil || len(got.Items) != c.want {
			t.Errorf("%+v: %+v, %v", c.q, got, err)
		}
	}
	one, err := s.DeadLetter(t.Context(), 1)
	if err != nil || one.Waiting || one.Resolution != "republished" || one.ResolvedBy != "ann" || one.JobSeq != 7 || one.Asked != amount(t, "24.99", "EUR") ||
		string(one.Body) != string(good) || one.Header.Get("X-Own") != "1" {
		t.Errorf("letter 1: %+v, %v", one, err)
	}
	if two, err := s.DeadLetter(t.Context(), 2); err != nil || string(two.Body) != string(letters[1].Body) {
		t.Errorf("letter 2: %+v, %v", two, err)
	}
	// The second form: the job's own headers are at the start of the body.
	block := "NATS/1.0\r\nX-Own: 2\r\n\r\n"
	moved := Message{Seq: 9, Stored: epoch, Subject: "capture.dlq.conflict", Body: append([]byte(block), good...), Header: nats.Header{
		deadletter.HeaderReason: {"conflict"}, deadletter.HeaderHeaders: {strconv.Itoa(len(block))}}}
	if err := w.ApplyLetters(t.Context(), []Message{moved}, decoder); err != nil {
		t.Fatal(err)
	}
	if nine, err := s.DeadLetter(t.Context(), 9); err != nil || string(nine.Body) != string(good) || nine.Header.Get("X-Own") != "2" || nine.OrderID != "A-1" {
		t.Errorf("dead letter 9: %+v, %v", nine, err)
	}
	if _, err := s.DeadLetter(t.Context(), 5); !errors.Is(err, ErrNotFound) {
		t.Errorf("a note is no letter: %v", err)
	}
	done, err := s.Acts(t.Context(), ActQuery{}, Page{})
	if err != nil || len(done.Items) != 2 || done.Items[0].Act != acts.DismissDeadLetter || done.Items[1].Letter != 1 || done.Items[1].Trade != "t1" {
		t.Errorf("done %+v, %v", done, err)
	}
	if p, err := s.Place(t.Context(), SourceDeadLetters); err != nil || p.Applied != 9 {
		t.Errorf("place %+v, %v", p, err)
	}
}

func actsOfTheLedger(t *testing.T, fresh database) {
	events := []capture.Event{{ID: "1", Type: capture.Parked, TradeID: "t", Time: epoch, Job: jobOf(t, "t", "A-1", "5.00", "EUR"), Reason: capture.ReasonUnresolved}}
	for i, typ := range []capture.EventType{capture.Dismissed, capture.Released, capture.Withdrawn, capture.Retried} {
		events = append(events, capture.Event{ID: "a" + string(typ), Type: typ, TradeID: "t", Time: epoch.Add(time.Duration(i+1) * time.Hour), By: "ann", Note: "why " + string(typ)})
	}
	s, _ := filled(t, fresh(t), entriesOf(t, events...))
	for _, c := range []struct {
		q    ActQuery
		want []acts.Kind
	}{
		{ActQuery{}, []acts.Kind{acts.Retry, acts.Withdraw, acts.Release, acts.Dismiss}}, {ActQuery{Act: acts.Release}, []acts.Kind{acts.Release}},
		{ActQuery{Trade: "t", From: epoch.Add(3 * time.Hour)}, []acts.Kind{acts.Retry, acts.Withdraw}}, {ActQuery{Actor: "bob"}, nil},
		{ActQuery{To: epoch.Add(2 * time.Hour)}, []acts.Kind{acts.Dismiss}},
	} {
		got, err := s.Acts(t.Context(), c.q, Page{Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		var kinds []acts.Kind
		for _, a := range got.Items {
			kinds = append(kinds, a.Act)
			if a.Order != "A-1" || a.Amount != amount(t, "5.00", "EUR") || a.Actor != "ann" {
				t.Errorf("%+v", a)
			}
		}
		if jsonText(t, kinds) != jsonText(t, c.want) {
			t.Errorf("%+v: %v, want %v", c.q, kinds, c.want)
		}
	}
}

// What is wrong in the ledger is kept and named, and stops nothing.
func flawedEventsAreKept(t *testing.T, fresh database) {
	entries := entriesOf(t, capturedEvents(t, "t", "A\x00\u2028-1", "1.00", "EUR", epoch)...)
	doubled := entries[1]
	doubled.Seq = 3
	misfiled := entries[0]
	misfiled.Seq, misfiled.Trade = 4, "u"
	misfiled.Raw = []byte(`{"id":"m","type":"attempted","trade_id":"v","time":"2026-11-02T10:00:00Z","worker":"w"}`)
	entries = append(entries, doubled, misfiled,
		Entry{Seq: 5, Stored: epoch, Trade: "x", Type: "captured", Raw: []byte("\x00\xff{")},
		Entry{Seq: 6, Stored: epoch, Trade: "x", Type: "captured", Raw: []byte(`{"id":"y","type":"captured","trade_id":"x","worker":"\u0000","reason":"\ud800"}`)},
		Entry{Seq: 8, Stored: epoch}) // a foreign message
	s, _ := filled(t, fresh(t), entries)
	got, err := s.FlawedEvents(t.Context(), Page{})
	if err != nil || len(got.Items) != 3 || got.AsOf != 8 {
		t.Fatalf("%+v, %v", got, err)
	}
	for i, flaw := range []string{FlawDoubled, FlawMisfiled, FlawUnreadable} {
		if got.Items[i].Flaw != flaw {
			t.Errorf("sequence %d: %s, want %s", got.Items[i].Seq, got.Items[i].Flaw, flaw)
		}
	}
	if string(got.Items[2].Raw) != "\x00\xff{" {
		t.Errorf("kept as %q", got.Items[2].Raw)
	}
	if x, _, err := s.Trade(t.Context(), "x"); err != nil || x.Flaws != 1 || x.Events != 1 || x.Phase != capture.PhaseCaptured {
		t.Errorf("%+v, %v", x, err)
	}
	sameDump(t, dump(t, s), reference(t, entries))
}

func ofTwoWritersTheNewerOneWins(t *testing.T, fresh database) {
	entries := entriesOf(t, capturedEvents(t, "t", "", "1.00", "EUR", epoch)...)
	s, old := filled(t, fresh(t), entries[:1])
	w, err := s.Writer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := old.ApplyEvents(t.Context(), entries[1:]); !errors.Is(err, ErrSuperseded) {
		t.Errorf("the older writer: %v", err)
	}
	if err := old.Reset(t.Context()); !errors.Is(err, ErrSuperseded) {
		t.Errorf("the older writer empties it: %v", err)
	}
	if err := w.ApplyEvents(t.Context(), entries[1:]); err != nil {
		t.Fatal(err)
	}
	sameDump(t, dump(t, s), reference(t, entries))
	if err := w.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	begin(t, w)
	if err := w.ApplyEvents(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	sameDump(t, dump(t, s), reference(t, entries))
}

func aReaderChangesNothing(t *testing.T, fresh database) {
	dsn := fresh(t)
	if _, err := OpenReader(t.Context(), dsn, Options{}); !errors.Is(err, ErrSchema) {
		t.Errorf("an empty database: %v", err)
	}
	if !IsPostgres(dsn) {
		if _, err := os.Stat(dsn); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the reader made a file: %v", err)
		}
	}
	filled(t, dsn, entriesOf(t, capturedEvents(t, "t", "", "1.00", "EUR", epoch)...))
	r, err := OpenReader(t.Context(), dsn, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := r.FindTrades(t.Context(), "t", Page{}); err != nil || len(got.Items) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := r.Writer(t.Context()); err == nil {
		t.Error("a reader became a writer")
	}
	again := openStore(t, dsn) // its tables are there already
	if p, err := again.Place(t.Context(), SourceLedger); err != nil || p.Applied != 2 {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestNamesOfDatabases(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{"", "mysql://h/d", "postgres://u:pw-secret@h:bad/d"} {
		if _, err := Open(t.Context(), dsn, Options{}); !errors.Is(err, ErrDSN) {
			t.Errorf("%s: %v", dsn, err)
		}
	}
	// Characters that mean something in a URL are only letters of a path.
	path := filepath.Join(t.TempDir(), "a ?b%20#c", "records.db")
	openStore(t, path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}
