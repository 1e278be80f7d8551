package capture_test

import (
	"bytes"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// foldPolicy is any policy that is in order.
var foldPolicy = capture.Policy{Settle: 45 * time.Second, Agree: 2, Spacing: 5 * time.Second, GiveUpAfter: 72 * time.Hour}

// future is an event of a newer program, with all that an event may carry.
func future(t testing.TB, at time.Time) capture.Event {
	e := sampleEvent(t, capture.Attempted)
	order := &capture.Order{TradeID: "T1", State: capture.OrderPaid, Amount: euros(t, "24.90")}
	e.ID, e.Type, e.Time = "F1", "disputed", at
	e.Answer, e.Via = &capture.Answer{Kind: capture.AnswerDone, Code: "200", Order: order}, capture.ViaQuery
	e.RetryAt, e.Reason, e.Corrects = at.Add(time.Hour), "because", "E1"
	return e
}

// TestEventsOfTheFutureDecideNothing checks that an older program that meets an
// event of a type it does not know continues as if it were not there. Only the first
// call, which needs an empty ledger, is not made unasked.
func TestEventsOfTheFutureDecideNothing(t *testing.T) {
	var before []capture.Event
	for _, kind := range []capture.EventType{capture.Attempted, capture.Answered, capture.Queried, capture.Parked, capture.Released, capture.Failed} {
		before = append(before, sampleEvent(t, kind))
		sameWithFuture(t, before)
	}
	alone := capture.Fold([]capture.Event{future(t, eventTime)})
	job := capture.Job{TradeID: "T1", Amount: euros(t, "24.90")}
	if step := capture.Decide(new(alone), new(job), eventTime, foldPolicy); step.Do == capture.DoAttempt {
		t.Errorf("a first call goes out unasked though the ledger is not empty: %+v", step)
	}
}

// sameWithFuture puts an event of the future at every place but the first and
// compares what is decided.
func sameWithFuture(t *testing.T, events []capture.Event) {
	t.Helper()
	want := capture.Fold(events)
	for at := 1; at <= len(events); at++ {
		got := capture.Fold(slices.Insert(slices.Clone(events), at, future(t, events[at-1].Time.Add(time.Second))))
		if got.Events != want.Events+1 {
			t.Errorf("%d events are counted, want %d", got.Events, want.Events+1)
		}
		got.Events = want.Events
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("an event of the future behind %s changes the state\nto   %+v\nfrom %+v", events[at-1].Type, got, want)
		}
	}
}

// FuzzFold checks that all readable events fold into a state with a next step, and
// that events of unknown types do not change it.
func FuzzFold(f *testing.F) {
	var story [][]byte
	for _, kind := range capture.EventTypes() {
		b, err := sampleEvent(f, kind).Encode()
		if err != nil {
			f.Fatal(err)
		}
		story = append(story, b)
		f.Add(bytes.Join(story, []byte("\n")), int64(0))
		f.Add(b, int64(time.Hour))
	}
	f.Add([]byte(`{"id":"E","type":"new","trade_id":"T1","job":{"trade_id":"T1","amount":"1","currency":"JPY"}}`), int64(-1))
	f.Fuzz(func(t *testing.T, text []byte, later int64) {
		var events []capture.Event
		for line := range bytes.Lines(text) {
			if e, err := capture.DecodeEvent(line); err == nil && len(events) < 20 {
				events = append(events, e)
			}
		}
		if len(events) == 0 {
			return
		}
		state := capture.Fold(events)
		now := events[len(events)-1].Time.Add(time.Duration(later))
		step := capture.Decide(new(state), new(capture.Job{TradeID: "T1", Amount: euros(t, "24.90")}), now, foldPolicy)
		if step.Do == "" || step.Rule == "" {
			t.Fatalf("no step for %+v", state)
		}
		if state.Phase == capture.PhaseCaptured && (step.Do == capture.DoAttempt || step.Do == capture.DoQuery) {
			t.Fatalf("a captured trade goes to the gateway: %+v", step)
		}
		sameWithFuture(t, events)
	})
}
