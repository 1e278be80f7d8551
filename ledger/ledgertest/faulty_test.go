package ledgertest_test

import (
	"errors"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/ledger/ledgertest"
)

func TestFaultyFailsAsTold(t *testing.T) {
	broken := errors.New("broken")
	always := func(ledgertest.Call) error { return broken }
	for _, c := range []struct {
		name          string
		before, after func(ledgertest.Call) error
		stored        int
	}{
		{"not done", always, nil, 0},
		{"done but reported failed", nil, always, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			sound := &ledger.Memory{}
			f := ledgertest.Faulty{Ledger: sound, Before: c.before, After: c.after}
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
				t.Error("a failed read found something")
			}
			got, err := sound.Load(t.Context(), "t")
			if err != nil || len(got.Events) != c.stored {
				t.Errorf("%d events stored, want %d, %v", len(got.Events), c.stored, err)
			}
		})
	}
}

func TestFaultyTellsTheHooksWhatIsAsked(t *testing.T) {
	var asked []ledgertest.Call
	f := ledgertest.Faulty{Ledger: &ledger.Memory{}, Before: func(c ledgertest.Call) error {
		asked = append(asked, c)
		return nil
	}}
	e := ledgertest.Event("t", capture.Attempted, 1)
	if _, err := f.Append(t.Context(), e, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Load(t.Context(), "u"); err != nil {
		t.Fatal(err)
	}
	if len(asked) != 2 || asked[0].Op != ledgertest.OpAppend || asked[0].Event.ID != e.ID ||
		asked[1].Op != ledgertest.OpLoad || asked[1].TradeID != "u" {
		t.Errorf("asked %+v", asked)
	}
}
