//go:build unix

package records

import (
	"errors"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

func TestHoursAndDeadlinesAddUp(t *testing.T) {
	both(t, func(t *testing.T, fresh database) {
		park := func(trade, number, currency string, at time.Time) capture.Event {
			return capture.Event{ID: "p" + trade, Type: capture.Parked, TradeID: trade, Time: at, Job: jobOf(t, trade, "", number, currency), Reason: capture.ReasonUnresolved}
		}
		events := capturedEvents(t, "a", "A-1", "1.50", "EUR", epoch)
		events = append(events, capturedEvents(t, "b", "A-2", "2.00", "EUR", epoch.Add(10*time.Minute))...)
		events = append(events, capturedEvents(t, "late", "A-3", "9.00", "EUR", epoch.Add(5*time.Hour))...)
		events = append(events, park("c", "4", "JPY", epoch.Add(90*time.Minute)), capturedEvents(t, "open", "", "7.00", "EUR", epoch)[0])
		s, _ := filled(t, fresh(t), entriesOf(t, events...))

		hours, err := s.Hours(t.Context(), epoch, 3)
		if err != nil || len(hours.Items) != 2 {
			t.Fatalf("%+v, %v", hours, err)
		}
		first, second := hours.Items[0], hours.Items[1]
		if first != (HourSum{Hour: 0, Phase: capture.PhaseCaptured, Currency: "EUR", Total: Total{Trades: 2, Amount: "3.50"}}) ||
			second != (HourSum{Hour: 1, Phase: capture.PhaseParked, Currency: "JPY", Total: Total{Trades: 1, Amount: "4"}}) {
			t.Errorf("%+v", hours.Items)
		}
		// Both cases have the deadline of their authorization, 30 days after it.
		deadline := epoch.Add(-time.Hour).Add(capture.AuthorizationWindow)
		due, err := s.Due(t.Context(), epoch, deadline, deadline.Add(time.Hour))
		if err != nil || len(due.Items) != 2 {
			t.Fatalf("%+v, %v", due, err)
		}
		for i, want := range []DueSum{{Span: 2, Currency: "EUR", Total: Total{Trades: 1, Amount: "7.00"}}, {Span: 2, Currency: "JPY", Total: Total{Trades: 1, Amount: "4"}}} {
			if due.Items[i] != want {
				t.Errorf("%+v, want %+v", due.Items[i], want)
			}
		}
		for _, hours := range []int{0, maxHours + 1} {
			if _, err := s.Hours(t.Context(), epoch, hours); !errors.Is(err, ErrPeriod) {
				t.Errorf("%d hours: %v", hours, err)
			}
		}
		if _, err := s.Due(t.Context()); !errors.Is(err, ErrPeriod) {
			t.Errorf("no bounds: %v", err)
		}
		last, err := s.LastEvents(t.Context(), Page{Limit: 1})
		if err != nil || len(last.Items) != 1 || last.Items[0].Trade != "open" {
			t.Errorf("%+v, %v", last, err)
		}
	})
}
