package reconcile_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/ledger/ledgertest"
	"github.com/capture-worker/capture-worker/reconcile"
)

// newRecorder writes to l at noon.
func newRecorder(l ledger.Ledger, worker string) *reconcile.Recorder {
	ids := 0
	return &reconcile.Recorder{
		Ledger: l, Schedule: schedule, Worker: worker, Now: func() time.Time { return noon },
		Policy: capture.Policy{Settle: 45 * time.Second, Agree: 2, Spacing: 5 * time.Second, GiveUpAfter: 72 * time.Hour},
		NewID:  func() string { ids++; return fmt.Sprintf("%s-%d", worker, ids) },
		Log:    slog.New(slog.DiscardHandler),
	}
}

func amount(t *testing.T, number string) capture.Amount {
	t.Helper()
	a, err := capture.ParseAmount(number, "EUR")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// announce puts the intent of a first call into the ledger.
func announce(t *testing.T, c *reconcile.Recorder) *reconcile.Trade {
	t.Helper()
	job := capture.Job{TradeID: "T1", Amount: amount(t, "24.99")}
	intent := &capture.Event{
		Type: capture.Attempted, Attempt: 1, Call: 1, RequestID: "request00000000000000000001",
		LeaseUntil: noon.Add(time.Minute), Job: &job,
	}
	trade, err := c.Record(t.Context(), &reconcile.Trade{ID: "T1"}, intent)
	if err != nil {
		t.Fatal(err)
	}
	return trade
}

func paid(t *testing.T) capture.Answer {
	return capture.Answer{Kind: capture.AnswerDone, Code: capture.CodeSuccess,
		Order: &capture.Order{TradeID: "T1", State: capture.OrderPaid, Amount: amount(t, "24.99")}}
}

func TestRecordStampsAndTellsConflicts(t *testing.T) {
	t.Parallel()
	book := &ledger.Memory{}
	first, second := newRecorder(book, "first"), newRecorder(book, "second")
	trade := announce(t, first)
	stored, _, err := book.Last(t.Context(), "T1")
	if err != nil || stored.Event.ID != "first-1" || stored.Event.Worker != "first" || !stored.Event.Time.Equal(noon) || stored.Seq != trade.Seq {
		t.Errorf("stored %+v, %v", stored, err)
	}
	fresh, err := second.Record(t.Context(), &reconcile.Trade{ID: "T1"}, &capture.Event{Type: capture.Notified})
	if !errors.Is(err, ledger.ErrConflict) {
		t.Fatalf("a writer that was late: %v, want a conflict", err)
	}
	if fresh.Seq != trade.Seq || fresh.State.Phase != capture.PhaseCalling {
		t.Errorf("it was given %+v, want the trade as it stands", fresh)
	}
}

// After a conflict the answer is judged again with the events of the other writer.
func TestLearnJudgesAgainAfterAConflict(t *testing.T) {
	t.Parallel()
	book := &ledger.Memory{}
	mine, other := newRecorder(book, "mine"), newRecorder(book, "other")
	stale := announce(t, mine)
	for range 3 {
		if _, err := other.Record(t.Context(), mustOpen(t, other), &capture.Event{Type: capture.Notified}); err != nil {
			t.Fatal(err)
		}
	}
	after, event, err := mine.Apply(t.Context(), stale, nil, &capture.Finding{Via: capture.ViaCapture, Call: 1, Answer: paid(t)})
	if err != nil || event == nil || event.Type != capture.Captured || after.State.Phase != capture.PhaseCaptured {
		t.Errorf("%+v, %v: want captured on top of the others' events", event, err)
	}
	// Once more changes nothing.
	if _, event, err = mine.Apply(t.Context(), stale, nil, &capture.Finding{Via: capture.ViaCapture, Call: 1, Answer: paid(t)}); err != nil || event != nil {
		t.Errorf("learning it twice wrote %+v, %v", event, err)
	}
}

func mustOpen(t *testing.T, c *reconcile.Recorder) *reconcile.Trade {
	t.Helper()
	trade, err := c.Open(t.Context(), "T1")
	if err != nil {
		t.Fatal(err)
	}
	return trade
}

// The ledger says what could not be appended, and to which trade: once.
func TestRecordSaysOnceWhatWasNotAppended(t *testing.T) {
	t.Parallel()
	recorder := newRecorder(&ledger.Memory{}, "mine")
	trade := announce(t, recorder)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := recorder.Record(ctx, trade, &capture.Event{Type: capture.Released, By: "ann", Note: "x"})
	if !errors.Is(err, context.Canceled) || err.Error() != "appending released to trade T1: context canceled" {
		t.Errorf("%v", err)
	}
	_, err = recorder.Record(t.Context(), &reconcile.Trade{ID: "T1"}, &capture.Event{Type: capture.Released, By: "ann", Note: "x"})
	if about, ok := errors.AsType[*ledger.ConflictError](err); !ok || about.TradeID != "T1" || strings.Count(err.Error(), "T1") != 1 {
		t.Errorf("%v", err)
	}
}

// A trade that others write to without end is left to the next delivery.
func TestLearnGivesUpOnContention(t *testing.T) {
	t.Parallel()
	conflicts := 0
	book := ledgertest.Faulty{Ledger: &ledger.Memory{}, Before: func(c ledgertest.Call) error {
		if c.Op == ledgertest.OpAppend && c.Event.Type == capture.Captured {
			conflicts++
			return &ledger.ConflictError{TradeID: "T1"}
		}
		return nil
	}}
	recorder := newRecorder(book, "mine")
	_, _, err := recorder.Apply(t.Context(), announce(t, recorder), nil, &capture.Finding{Via: capture.ViaCapture, Call: 1, Answer: paid(t)})
	if !errors.Is(err, reconcile.ErrContended) || conflicts > 100 {
		t.Errorf("%v after %d conflicts, want ErrContended after a bounded number", err, conflicts)
	}
}

// What a lost call without effect costs in queries is what the healthy jobs pay
// for it in slots. A payment under way is looked at more often.
func TestALostCallIsAskedAboutSeldom(t *testing.T) {
	t.Parallel()
	for state, want := range map[capture.OrderState][]float64{
		capture.OrderAuthorized: {0.5, 4.5, 45, 50},
		capture.OrderPending:    {0.5, 1.5, 3.5, 7.5, 22.5, 52.5},
	} {
		recorder := newRecorder(&ledger.Memory{}, "mine")
		recorder.Schedule.Random = func() float64 { return 0.5 }
		now := noon
		recorder.Now = func() time.Time { return now }
		trade := announce(t, recorder)
		trade, _, err := recorder.Apply(t.Context(), trade, nil, &capture.Finding{
			Via: capture.ViaCapture, Call: 1, Answer: capture.Answer{Kind: capture.AnswerUnknown, Why: "reset"}})
		var asked []float64
		for err == nil && len(asked) < len(want) {
			step := capture.Decide(&trade.State, &trade.State.Job, now, recorder.Policy)
			switch step.Do {
			case capture.DoWait:
				now = step.Until
				continue
			case capture.DoQuery:
			default:
				t.Fatalf("%s, asked after %v s: %s by the row %q", state, asked, step.Do, step.Rule)
			}
			asked = append(asked, now.Sub(noon).Seconds())
			trade, _, err = recorder.Apply(t.Context(), trade, nil, &capture.Finding{Via: capture.ViaQuery, Asked: now, Answer: capture.Answer{
				Kind: capture.AnswerDone, Order: &capture.Order{TradeID: "T1", State: state}}})
		}
		if err != nil || !slices.Equal(asked, want) {
			t.Errorf("%s: asked after %v s, %v, want after %v", state, asked, err, want)
		}
	}
}

func TestLookWritesNothingResolveDoes(t *testing.T) {
	t.Parallel()
	book := &ledger.Memory{}
	recorder := newRecorder(book, "mine")
	announce(t, recorder)
	resolver := &reconcile.Resolver{Recorder: recorder, Query: func(context.Context, string) capture.Answer { return paid(t) }}
	seen, err := resolver.Look(t.Context(), "T1")
	if err != nil || !seen.Changed() || !seen.Settled() || mustOpen(t, recorder).State.Events != 1 {
		t.Errorf("Look: %+v, %v; the ledger has %d events", seen, err, mustOpen(t, recorder).State.Events)
	}
	done, err := resolver.Resolve(t.Context(), "T1")
	if err != nil || !done.Changed() || done.Event.ID == "" || mustOpen(t, recorder).State.Phase != capture.PhaseCaptured {
		t.Errorf("Resolve: %+v, %v", done, err)
	}
	if again, err := resolver.Resolve(t.Context(), "T1"); err != nil || again.Event != nil {
		t.Errorf("resolving a captured trade wrote %+v, %v", again.Event, err)
	}
	if _, err := resolver.Resolve(t.Context(), "T2"); !errors.Is(err, reconcile.ErrUnknownTrade) {
		t.Errorf("a trade that the ledger does not know: %v", err)
	}
}

// A refusal that the query explains fails a trade only if our account is known to
// be the right one (rule 9).
func TestResolveAsksWhetherATradeMayFail(t *testing.T) {
	t.Parallel()
	for _, mayFail := range []bool{false, true} {
		recorder := newRecorder(&ledger.Memory{}, "mine")
		announce(t, recorder)
		refused := capture.Finding{Via: capture.ViaCapture, Call: 1, Answer: capture.Answer{Kind: capture.AnswerRefused, Code: capture.CodeAmountExceeded}}
		if _, _, err := recorder.Apply(t.Context(), mustOpen(t, recorder), nil, &refused); err != nil {
			t.Fatal(err)
		}
		asked := ""
		resolver := &reconcile.Resolver{
			Recorder: recorder,
			Query: func(context.Context, string) capture.Answer {
				return capture.Answer{Kind: capture.AnswerDone, Code: capture.CodeSuccess, Order: &capture.Order{TradeID: "T1", State: capture.OrderAuthorized, Amount: amount(t, "1.00")}}
			},
			MayFail: func(_ context.Context, code string, _ time.Time) bool { asked = code; return mayFail },
		}
		if _, err := resolver.Resolve(t.Context(), "T1"); err != nil {
			t.Fatal(err)
		}
		if failed := mustOpen(t, recorder).State.Phase == capture.PhaseFailed; failed != mayFail || asked != capture.CodeAmountExceeded {
			t.Errorf("may fail: %t, failed: %t, asked about %q", mayFail, failed, asked)
		}
	}
}

// Every outcome is logged with the sum it is about.
func TestOutcomesAreLoggedWithTheirSum(t *testing.T) {
	t.Parallel()
	for _, typ := range []capture.EventType{capture.Captured, capture.Failed, capture.Parked} {
		var logged bytes.Buffer
		c := newRecorder(&ledger.Memory{}, "w-1")
		c.Log = slog.New(slog.NewJSONHandler(&logged, nil))
		trade := announce(t, c)
		e := &capture.Event{Type: typ}
		if typ == capture.Captured {
			e.Amount, e.Currency = "24.99", "EUR"
		}
		if _, err := c.Record(t.Context(), trade, e); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(logged.String()), "\n")
		var got struct{ Msg, Amount, Currency string }
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil {
			t.Fatal(err)
		}
		if got.Msg != string(typ) || got.Amount != "24.99" || got.Currency != "EUR" {
			t.Errorf("%s: logged %s", typ, logged.String())
		}
	}
	var logged bytes.Buffer
	c := newRecorder(&ledger.Memory{}, "w-1")
	c.Log = slog.New(slog.NewTextHandler(&logged, nil))
	withdrawn := &capture.Event{Type: capture.Failed, Reason: capture.ReasonWithdrawn, Amount: "24.99", Currency: "EUR"}
	if _, err := c.Record(t.Context(), &reconcile.Trade{ID: "T2"}, withdrawn); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(logged.String(), "amount=24.99 currency=EUR") {
		t.Errorf("withdrawn before its job: logged %s", logged.String())
	}
}
