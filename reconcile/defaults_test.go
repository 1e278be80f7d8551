package reconcile_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/reconcile"
)

func saysPaid(t *testing.T) reconcile.Query {
	order := &capture.Order{State: capture.OrderPaid, Amount: amount(t, "24.99")}
	return func(context.Context, string) capture.Answer {
		return capture.Answer{Kind: capture.AnswerDone, Order: order}
	}
}

// A recorder needs a ledger, and nothing else.
func TestRecorderWithDefaults(t *testing.T) {
	t.Parallel()
	book := &ledger.Memory{}
	recorder := &reconcile.Recorder{Ledger: book}
	job := capture.Job{TradeID: "T1", Amount: amount(t, "24.99")}
	trade, err := recorder.Record(t.Context(), &reconcile.Trade{ID: "T1"}, &capture.Event{
		Type: capture.Attempted, Attempt: 1, Call: 1, RequestID: "request00000000000000000001", Job: &job, LeaseUntil: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	lost := capture.Finding{Via: capture.ViaCapture, Call: 1, Answer: capture.Answer{Kind: capture.AnswerUnknown, Why: "timeout"}}
	if _, e, err := recorder.Apply(t.Context(), trade, &job, &lost); err != nil || e == nil || !e.RetryAt.After(time.Now()) {
		t.Fatalf("a lost answer: %+v, %v; want another try later, not at once", e, err)
	}
	r := &reconcile.Resolver{Recorder: recorder, Query: saysPaid(t)}
	if result, err := r.Resolve(t.Context(), "T1"); err != nil || !result.Changed() {
		t.Fatalf("resolved: %+v, %v", result, err)
	}
	loaded, err := book.Load(t.Context(), "T1")
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, e := range loaded.Events {
		if ids[e.ID] || len(e.ID) < 20 || time.Since(e.Time) > time.Minute {
			t.Errorf("event %q of %s", e.ID, e.Time)
		}
		ids[e.ID] = true
	}
	for v, err := range (&reconcile.Batch{Resolver: r}).Run(t.Context(), reconcile.Items(reconcile.Item{TradeID: "T1"}), nil) {
		if err != nil || v.Kind != reconcile.KindAgreed {
			t.Errorf("batch: %+v, %v", v, err)
		}
	}
	for found, err := range recorder.Parked(t.Context(), ledger.TradesWith(t.Context(), book, capture.Parked), reconcile.ParkedFilter{}) {
		t.Errorf("parked: %+v, %v", found, err)
	}
}

// What has no default is named by an error, and nothing is asked or written.
func TestFieldsWithoutDefaultAreNamed(t *testing.T) {
	t.Parallel()
	recorder := &reconcile.Recorder{Ledger: &ledger.Memory{}}
	query := func(context.Context, string) capture.Answer { t.Error("asked"); return capture.Answer{} }
	publish := func(context.Context, capture.Job, string) error { t.Error("published"); return nil }
	release := func(r *reconcile.Releaser) error { _, err := r.Release(t.Context(), "T1"); return err }
	preview := func(r *reconcile.Releaser) error { _, err := r.Preview(t.Context(), "T1"); return err }
	resolve := func(r *reconcile.Resolver) error { _, err := r.Resolve(t.Context(), "T1"); return err }
	run := func(b reconcile.Batch) (last error) {
		for _, last = range b.Run(t.Context(), reconcile.Items(), nil) {
		}
		return last
	}
	roll := func(r reconcile.Rollout) (last error) {
		for _, last = range r.Run(t.Context(), nil) {
		}
		return last
	}
	_, openErr := new(reconcile.Recorder).Open(t.Context(), "T1")
	var parkedErr error
	for _, parkedErr = range new(reconcile.Recorder).Parked(t.Context(), nil, reconcile.ParkedFilter{}) {
	}
	_, recordErr := new(reconcile.Recorder).Record(t.Context(), &reconcile.Trade{ID: "T1"}, &capture.Event{})
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"open":                 {openErr, "Recorder.Ledger"},
		"parked":               {parkedErr, "Recorder.Ledger"},
		"record":               {recordErr, "Recorder.Ledger"},
		"dismiss":              {new(reconcile.Recorder).Dismiss(t.Context(), "T1", "ann", "x"), "Recorder.Ledger"},
		"resolve":              {resolve(&reconcile.Resolver{Query: query}), "Resolver.Recorder"},
		"resolve, no query":    {resolve(&reconcile.Resolver{Recorder: recorder}), "Resolver.Query"},
		"batch":                {run(reconcile.Batch{}), "Batch.Resolver"},
		"batch, no query":      {run(reconcile.Batch{Resolver: &reconcile.Resolver{Recorder: recorder}}), "Batch.Resolver.Query"},
		"preview":              {preview(&reconcile.Releaser{Recorder: recorder}), "Releaser.Query"},
		"release, no recorder": {release(&reconcile.Releaser{Query: query, Publish: publish, By: "ann", Note: "x"}), "Releaser.Recorder"},
		"release, publish":     {release(&reconcile.Releaser{Recorder: recorder, Query: query, By: "ann", Note: "x"}), "Releaser.Publish"},
		"release, no operator": {release(&reconcile.Releaser{Recorder: recorder, Query: query, Publish: publish, Note: "x"}), "Releaser.By"},
		"release, no why":      {release(&reconcile.Releaser{Recorder: recorder, Query: query, Publish: publish, By: "ann"}), "Releaser.Note"},
		"rollout":              {roll(reconcile.Rollout{}), "Rollout.Releaser"},
	} {
		if want := "reconcile." + tt.want + ": " + reconcile.ErrNotSet.Error(); !errors.Is(tt.err, reconcile.ErrNotSet) || !contains(tt.err, want) {
			t.Errorf("%s: %v, want %q", name, tt.err, want)
		}
	}
}

func contains(err error, text string) bool { return err != nil && strings.Contains(err.Error(), text) }
