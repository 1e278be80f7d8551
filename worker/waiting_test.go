package worker_test

import (
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/worker"
)

// What was published again does not wait; what came since does.
func TestLettersThatWaitAreCounted(t *testing.T) {
	b := letterBox(t)
	want := func(n int) {
		t.Helper()
		if got, err := b.Waiting(t.Context()); err != nil || got != n {
			t.Errorf("%d letters wait, %v; want %d", got, err, n)
		}
	}
	want(0)
	putLetter(t, b, "1")
	putLetter(t, b, "2")
	want(2)
	for range 2 { // the second is the same note, and stored once
		if err := b.Note(t.Context(), worker.Republication{Letter: 1, TradeID: "T1", Stream: "JOBS", Seq: 5, Time: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	want(1)
	// Done with is done with, however often.
	if err := b.Note(t.Context(), worker.Republication{Letter: 1, Stream: "JOBS", Seq: 6}); err != nil {
		t.Fatal(err)
	}
	want(1)
	putLetter(t, b, "3")
	want(2)
	if err := b.Dismiss(t.Context(), worker.Dismissal{Letter: 2}); err != nil {
		t.Fatal(err)
	}
	want(1)
	stream, err := b.JS.Stream(t.Context(), b.Stream)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(0)
	b.Stream = "NONE"
	if _, err := b.Waiting(t.Context()); err == nil {
		t.Error("a stream that is missing has letters")
	}
}
