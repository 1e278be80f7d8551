package capture_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

var eventTime = time.Date(2026, 11, 22, 16, 0, 0, 123456789, time.UTC)

// sampleEvent fills in what an event of the type carries.
func sampleEvent(t testing.TB, kind capture.EventType) capture.Event {
	e := capture.Event{ID: "E1", Type: kind, TradeID: "T1", Time: eventTime, Worker: "w-1", Rule: "first call"}
	order := &capture.Order{TradeID: "T1", OrderID: "G9", State: capture.OrderPaid, Amount: euros(t, "24.90"), PaidTime: "today"}
	switch kind {
	case capture.Attempted:
		e.Attempt, e.Call, e.RequestID, e.LeaseUntil = 1, 2, "ca51f2fas3i0f8uiw7efj6oe", eventTime.Add(time.Minute)
		e.Job = &capture.Job{TradeID: "T1", Amount: euros(t, "24.90"), OrderID: "A-1", Description: "order A-1 <&> café",
			NotifyURL: "https://shop.example/n?a=1&b=2", AuthorizedAmount: euros(t, "30"), AuthorizedAt: eventTime, CaptureBefore: eventTime.Add(time.Hour)}
		e.Source = &capture.Source{Stream: "CAPTURE_JOBS", Sequence: 7, Publisher: "ada", DLQStream: "CAPTURE_DLQ", DLQSequence: 3}
	case capture.Answered:
		e.Via, e.RetryAt = capture.ViaCapture, eventTime.Add(time.Second)
		e.Answer = &capture.Answer{Kind: capture.AnswerUnknown, Code: "-1000", Why: "internal error", HTTPStatus: 200, Latency: 7 * time.Millisecond}
	case capture.Queried:
		e.Via, e.Answer = capture.ViaQuery, &capture.Answer{Kind: capture.AnswerDone, Code: "200", Order: &capture.Order{State: capture.OrderAuthorized}}
	case capture.Notified:
		e.Notification = &capture.Notification{Type: "payment", State: capture.OrderPaid, Amount: euros(t, "24.90")}
	case capture.Released, capture.Retried, capture.Withdrawn, capture.Dismissed:
		e.By, e.Note, e.ApprovedBy = "ada", "the bank confirmed", "grace"
	case capture.Captured, capture.Failed, capture.Parked:
		e.Reason, e.Amount, e.Currency, e.OrderID, e.Corrects = "because", "24.90", "EUR", "A-1", "E0"
		e.Answer = &capture.Answer{Kind: capture.AnswerDone, Code: "200", Order: order, ResponseID: "R1"}
	}
	return e
}

func TestEventRoundTrip(t *testing.T) {
	for _, kind := range capture.EventTypes() {
		t.Run(string(kind), func(t *testing.T) {
			want := sampleEvent(t, kind)
			b, err := want.Encode()
			if err != nil {
				t.Fatal(err)
			}
			got, err := capture.DecodeEvent(b)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v\nas %s", got, want, b)
			}
		})
	}
}

func TestEventOmitsWhatItDoesNotCarry(t *testing.T) {
	b, err := capture.Event{ID: "E1", Type: capture.Notified, TradeID: "T1", Time: eventTime, Worker: "w"}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"id":"E1","type":"notified","trade_id":"T1","time":"2026-11-22T16:00:00.123456789Z","worker":"w"}`; string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
}

func TestDecodeEventFromANewerProgram(t *testing.T) {
	e, err := capture.DecodeEvent([]byte(`{"id":"E1","type":"disputed","trade_id":"T1","time":"2026-11-22T16:00:00Z","worker":"w",
		"evidence":{"deep":[1,{"er":null}]},"answer":{"kind":"foreseen","score":0.5,"order":{"state":"frozen","shelf":1}},"job":{"trade_id":"T1","amount":"5","currency":"EUR","colour":"red"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if e.Type != "disputed" || e.Type.Outcome() || e.Answer.Kind != "foreseen" || e.Answer.Order.State != "frozen" || e.Job.Amount != euros(t, "5") {
		t.Errorf("got %+v", e)
	}
}

func TestDecodeEventRefuses(t *testing.T) {
	good := `{"id":"E1","type":"captured","trade_id":"T1","time":"2026-11-22T16:00:00Z","worker":"w"}`
	if _, err := capture.DecodeEvent([]byte(good)); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, old, new string }{
		{"no id", `"id":"E1",`, ""}, {"empty id", `"E1"`, `""`}, {"no type", `"type":"captured",`, ""}, {"no trade", `"trade_id":"T1",`, ""},
		{"time is no time", "2026-11-22T16:00:00Z", "today"}, {"not JSON", "{", "["}, {"job without amount", `"worker"`, `"job":{"trade_id":"T1"},"worker"`},
		{"broken amount", `"worker"`, `"notification":{"amount":{"amount":"x","currency":"EUR"}},"worker"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := capture.DecodeEvent([]byte(strings.Replace(good, tt.old, tt.new, 1)))
			if !errors.Is(err, capture.ErrEvent) {
				t.Errorf("got %+v, %v; want ErrEvent", e, err)
			}
		})
	}
}

func TestEncodeEventRefusesATimeThatCannotBeWritten(t *testing.T) {
	_, err := capture.Event{ID: "E1", Type: capture.Parked, TradeID: "T1", Time: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)}.Encode()
	if err == nil || !strings.Contains(err.Error(), "parked") || !strings.Contains(err.Error(), "T1") {
		t.Errorf("got %v, want an error that names the event", err)
	}
}

func TestEventSum(t *testing.T) {
	if got := sampleEvent(t, capture.Captured).Sum(); got != euros(t, "24.90") {
		t.Errorf("got %v", got)
	}
	for _, e := range []capture.Event{{}, {Amount: "x", Currency: "EUR"}, {Amount: "5"}} {
		if got := e.Sum(); !got.IsZero() {
			t.Errorf("Sum of %q %q is %v, want none", e.Amount, e.Currency, got)
		}
	}
}

func TestOutcomes(t *testing.T) {
	var outcomes []capture.EventType
	for _, kind := range capture.EventTypes() {
		if kind.Outcome() {
			outcomes = append(outcomes, kind)
		}
	}
	if want := []capture.EventType{capture.Captured, capture.Failed, capture.Parked}; !reflect.DeepEqual(outcomes, want) {
		t.Errorf("got %v, want %v", outcomes, want)
	}
}
