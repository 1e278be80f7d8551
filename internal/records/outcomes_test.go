//go:build unix

package records

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// Outcomes come in order, each once, with what they correct, as of a sequence.
func TestWalkOutcomes(t *testing.T) {
	both(t, func(t *testing.T, fresh database) {
		events := capturedEvents(t, "b", "A-1", "1.00", "EUR", epoch.Add(time.Hour))
		events = append(events, capturedEvents(t, "a", "A-1", "2.00", "EUR", epoch.Add(time.Hour))...)
		events = append(events, capturedEvents(t, "late", "A-2", "3.00", "EUR", epoch.Add(2*time.Hour))...)
		events[5].Corrects = "wrong"
		events = slices.Insert(events, 4, capture.Event{ID: "wrong", Type: capture.Failed, TradeID: "late", Time: epoch, Reason: capture.ReasonTradeIncorrect})
		// Another program doubles the id: the trade still comes once.
		events = append(events, capture.Event{ID: "wrong", Type: capture.Queried, TradeID: "late", Time: epoch.Add(3 * time.Hour)})
		events = append(events, capture.Event{ID: "f", Type: capture.Failed, TradeID: "failed", Time: epoch, Reason: capture.ReasonTradeIncorrect})
		s, _ := filled(t, fresh(t), entriesOf(t, events...))
		var got []string
		q := OutcomeQuery{From: epoch, To: epoch.Add(2*time.Hour + 2*time.Second)}
		place, err := s.WalkOutcomes(t.Context(), q, func(o Outcome) error {
			got = append(got, o.Key)
			if o.Key == "late" && (o.Corrected != capture.Failed || !o.CorrectedAt.Equal(epoch)) {
				t.Errorf("it corrects %q of %s", o.Corrected, o.CorrectedAt)
			}
			return nil
		})
		if want := []string{"a", "b", "late", "failed"}; err != nil || !slices.Equal(got, want) || place.Applied != uint64(len(events)) || place.Stream != "CAPTURES" {
			t.Errorf("%v as of %+v, %v", got, place, err)
		}
		stop := errors.New("stop")
		q.From = epoch.Add(time.Minute)
		if _, err := s.WalkOutcomes(t.Context(), q, func(o Outcome) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("an error of the caller: %v", err)
		}
		q.To = q.From
		if _, err := s.WalkOutcomes(t.Context(), q, func(Outcome) error { return nil }); !errors.Is(err, ErrPeriod) {
			t.Errorf("an empty period: %v", err)
		}
	})
}

// A store that is filled in pages holds what one that follows the ledger does.
func TestFillingIsFollowing(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	b.append(t, randomEvents(3, 40, 1200))
	if _, err := b.js.Publish(t.Context(), "captures.T-1.captured", []byte("no event")); err != nil {
		t.Fatal(err)
	}
	stream, err := b.js.Stream(t.Context(), "CAPTURES")
	if err != nil {
		t.Fatal(err)
	}
	info := stream.CachedInfo()
	s := openStore(t, sqlite(t))
	w, err := s.Writer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	messages := func(yield func(Message, error) bool) {
		for m, err := range b.ledger.Messages(t.Context(), 0, 0) {
			if err != nil || !yield(Message{Seq: m.Sequence, Stored: m.Time, Subject: m.Subject, Header: m.Header, Body: m.Data}, nil) {
				return
			}
		}
	}
	place := Place{Source: SourceLedger, Stream: info.Config.Name, Created: info.Created, First: 1}
	if err := w.Fill(t.Context(), place, messages, w.ApplyLedger); err != nil {
		t.Fatal(err)
	}
	sameDump(t, ledgerDump(t, s), ledgerDump(t, referenceStore(t, b.entries(t))))
}
