package preflight_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/controls"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/finding"
	"github.com/capture-worker/capture-worker/internal/jobstream"
	"github.com/capture-worker/capture-worker/internal/preflight"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
)

// What needs an operator is a warning until it is resolved.
func TestWhatNeedsAnOperatorIsReported(t *testing.T) {
	srv := startBroker(t, nil)
	nc, err := nats.Connect(srv.ClientURL(), nats.Timeout(processtest.Patience), nats.UserInfo("owner", "p"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(processtest.Patience))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.EnsureStream(t.Context(), js, ledger.StreamConfig{}); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.EnsureCases(t.Context(), js, ledger.StreamConfig{}); err != nil {
		t.Fatal(err)
	}
	if _, err := jobstream.Ensure(t.Context(), js, streams()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := controls.Ensure(t.Context(), js, ledger.DefaultStream, 1, nil); err != nil {
		t.Fatal(err)
	}
	look := func(letters, parked string) {
		t.Helper()
		found := checkAs(t, srv, preflight.ForWorker)
		for area, want := range map[string]string{"jobs": letters, "ledger": parked} {
			got := of(found, area)
			if want == "" && strings.Contains(got, "warning") || !strings.Contains(got, want) {
				t.Errorf("%s: want %q: %s", area, want, got)
			}
		}
		if worst := finding.Worst(found); letters+parked != "" && worst != finding.Warning {
			t.Errorf("the worst is %s", worst)
		}
	}
	book := ledger.NewJetStream(js, ledger.Options{})
	cases := uint64(0)
	add := func(trade string, kind capture.EventType, after uint64) uint64 {
		t.Helper()
		seq, err := book.Append(t.Context(), capture.Event{ID: fmt.Sprint(trade, kind), Type: kind, TradeID: trade}, after)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(ledger.CaseTypes(), kind) {
			cases++
		}
		processtest.WaitFor(t, processtest.Patience, "the cases to be copied", func() bool {
			info, _, err := ledger.InspectCases(t.Context(), js, ledger.StreamConfig{})
			return err == nil && info.State.Msgs == cases
		})
		return seq
	}
	look("", "")
	if _, err := js.Publish(t.Context(), deadletter.SubjectPrefix+deadletter.ReasonConflict, nil); err != nil {
		t.Fatal(err)
	}
	first := add("T1", capture.Parked, 0)
	look("warning: 1 pending dead letter", "warning: 1 trade is parked and needs an operator")
	if _, err := js.Publish(t.Context(), deadletter.SubjectPrefix+deadletter.ReasonConflict, nil); err != nil {
		t.Fatal(err)
	}
	second := add("T2", capture.Parked, 0)
	look("warning: 2 pending dead letters", "warning: 2 trades are parked and need an operator")
	for i := range 2 {
		if err := (deadletter.Store{JS: js, Stream: streams().DLQ}).Republished(t.Context(), deadletter.Republication{Letter: uint64(i + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	add("T1", capture.Captured, first)
	add("T2", capture.Dismissed, second)
	look("", "")
}
