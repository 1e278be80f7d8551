package controls_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/controls"
	"github.com/capture-worker/capture-worker/ledger"
)

// Several workers add to one sample: none of the newest is lost, no message occurs
// twice, and the sample stays small.
func TestTheSampleOfPassedOverMessagesIsBounded(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	open := func() *controls.Store {
		store, _, err := controls.Ensure(t.Context(), b.js, ledger.DefaultStream, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
	if sample, err := open().PassedOver(t.Context()); err != nil || len(sample) > 0 {
		t.Fatalf("before the first: %v, %v", sample, err)
	}
	message := func(sequence int, path string) controls.PassedOver {
		return controls.PassedOver{
			Stream: "ORDERS", Sequence: uint64(sequence), Published: time.Unix(int64(sequence), 0).UTC(), TradeID: "T-1",
			Why: capture.MatchError{Path: path, Want: strings.Split(strings.Repeat("x", 900)+",b,c,d,e", ","), Missing: true},
		}
	}
	var workers sync.WaitGroup
	for w := range 3 {
		store := open()
		workers.Go(func() {
			for i := range 4 {
				path := fmt.Sprintf("w%d", w)
				if err := store.AddPassedOver(t.Context(), []controls.PassedOver{message(2*i, path), message(2*i+1, path), message(2*i, path)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	workers.Wait()
	sample, err := open().PassedOver(t.Context())
	if err != nil || len(sample) != 8 { // the sequences are those of one stream
		t.Fatalf("%d messages, %v, want 8", len(sample), err)
	}
	for i := range 30 {
		var more []controls.PassedOver
		for path := range 10 {
			more = append(more, message(1000+100*path+i, fmt.Sprintf("p%d", path)))
		}
		if err := open().AddPassedOver(t.Context(), more); err != nil {
			t.Fatal(err)
		}
	}
	if sample, err = open().PassedOver(t.Context()); err != nil || len(sample) != 100 {
		t.Fatalf("%d messages, %v, want 100", len(sample), err)
	}
	if newest := sample[99]; newest.Sequence != 1929 || len(newest.Why.Want) != 4 || len(newest.Why.Want[0]) > 300 {
		t.Errorf("the newest: %+v", newest)
	}
}

// What is frequent does not take the place of what is rare.
func TestEachConditionHasItsPlaceInTheSample(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	store, _, err := controls.Ensure(t.Context(), b.js, ledger.DefaultStream, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	more := []controls.PassedOver{{Stream: "ORDERS", Sequence: 1, Why: capture.MatchError{Path: "kind", Case: true, Found: `"Card"`}}}
	for i := range 50 {
		more = append(more, controls.PassedOver{Stream: "ORDERS", Sequence: uint64(2 + i), Why: capture.MatchError{Path: "kind", Found: `"other"`}})
	}
	if err := store.AddPassedOver(t.Context(), more); err != nil {
		t.Fatal(err)
	}
	sample, err := store.PassedOver(t.Context())
	if err != nil || len(sample) != 21 || sample[0].Sequence != 1 || sample[20].Sequence != 51 {
		t.Errorf("%v, %v", sample, err)
	}
}
