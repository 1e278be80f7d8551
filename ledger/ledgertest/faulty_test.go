package ledgertest_test

import (
	"errors"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/ledger/ledgertest"
)

func TestFaultyFails(t *testing.T) {
	broken := errors.New("broken")
	always := func(ledgertest.Call) error { return broken }
	for _, c := range []struct {
		name          string
		before, after func(ledgertest.Call) error
		stored        int
	}{
		{"not carried out", always, nil, 0},
		{"carried out, reported as failed", nil, always, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			inner := &ledger.Memory{}
			f := ledgertest.Faulty{Ledger: inner, Before: c.before, After: c.after}
			_, appendErr := f.Append(t.Context(), ledgertest.Event("t", capture.Attempted, 1), 0)
			_, loadErr := f.Load(t.Context(), "t")
			_, latestErr := f.LoadLatest(t.Context(), "t")
			_, found, lastErr := f.Last(t.Context(), "t")
			for _, err := range []error{appendErr, loadErr, latestErr, lastErr} {
				if !errors.Is(err, broken) {
					t.Errorf("got %v", err)
				}
			}
			if found {
				t.Error("a failed Last reports an event")
			}
			got, err := inner.Load(t.Context(), "t")
			if err != nil || len(got.Events) != c.stored {
				t.Errorf("%d events stored, want %d, %v", len(got.Events), c.stored, err)
			}
		})
	}
}

func TestFaultyPassesCallsToHooks(t *testing.T) {
	var calls []ledgertest.Call
	f := ledgertest.Faulty{Ledger: &ledger.Memory{}, Before: func(c ledgertest.Call) error {
		calls = append(calls, c)
		return nil
	}}
	e := ledgertest.Event("t", capture.Attempted, 1)
	if _, err := f.Append(t.Context(), e, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Load(t.Context(), "u"); err != nil {
		t.Fatal(err)
	}
	if len(calls) != 2 || calls[0].Op != ledgertest.OpAppend || calls[0].Event.ID != e.ID ||
		calls[1].Op != ledgertest.OpLoad || calls[1].TradeID != "u" {
		t.Errorf("calls %+v", calls)
	}
}
