package deadletter_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/natstest"
)

func newStore(t *testing.T) deadletter.Store {
	t.Helper()
	js := natstest.JetStream(t)
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "LETTERS", Subjects: []string{deadletter.SubjectPrefix + ">"}})
	if err != nil {
		t.Fatal(err)
	}
	return deadletter.Store{JS: js, Stream: "LETTERS"}
}

func putLetter(t *testing.T, b deadletter.Store, body string) {
	t.Helper()
	m := nats.NewMsg(deadletter.SubjectPrefix + "not_json")
	m.Data = []byte(body)
	m.Header.Set(deadletter.HeaderReason, "not_json")
	m.Header.Set(deadletter.HeaderSubject, "capture.jobs.shipped")
	m.Header.Set(deadletter.HeaderSequence, "7")
	m.Header.Set(deadletter.HeaderOriginal+"Nats-Msg-Id", "x")
	m.Header["ce-type"] = []string{"order.shipped"}
	if _, err := b.JS.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func TestStoreReadsAllAndKeepsAll(t *testing.T) {
	b := newStore(t)
	for range b.Messages(t.Context(), 0) {
		t.Fatal("an empty store holds a dead letter")
	}
	const n = 1200 // more than one fetch
	for i := range n {
		putLetter(t, b, fmt.Sprint(i))
		if i == 2 {
			note := deadletter.Republication{Letter: 2, TradeID: "T1", Stream: "JOBS", Seq: 5, By: "ann", Note: "why", Time: time.Now()}
			for range 2 { // the second is the same, and stored once
				if err := b.Republished(t.Context(), note); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	seen := 0
	for l, err := range b.Messages(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if string(l.Body) != fmt.Sprint(seen) {
			t.Fatalf("letter %d holds %s, want %d", l.Seq, l.Body, seen)
		}
		seen++
	}
	if seen != n {
		t.Errorf("read %d letters, want %d", seen, n)
	}
	done, err := b.Resolutions(t.Context())
	if err != nil || len(done) != 1 || done[2].Republished.By != "ann" || done[2].Dismissed != nil {
		t.Errorf("handled: %v, %v", done, err)
	}
}

func TestStoreRemembersBothThingsDone(t *testing.T) {
	b := newStore(t)
	putLetter(t, b, "{")
	for range 2 {
		if err := b.Dismiss(t.Context(), deadletter.Dismissal{Letter: 1, By: "bob", Note: "paid by hand", Time: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Republished(t.Context(), deadletter.Republication{Letter: 1, By: "ann"}); err != nil {
		t.Fatal(err)
	}
	done, err := b.Resolutions(t.Context())
	if err != nil || len(done) != 1 || done[1].Dismissed.By != "bob" || done[1].Republished.By != "ann" {
		t.Errorf("handled: %v, %v", done, err)
	}
	letters := 0
	for range b.Messages(t.Context(), 0) {
		letters++
	}
	for range b.Messages(t.Context(), 0) {
		break
	}
	if stream, err := b.JS.Stream(t.Context(), b.Stream); err != nil || stream.CachedInfo().State.Consumers != 0 {
		t.Errorf("reading left consumers behind: %v, %+v", err, stream.CachedInfo().State)
	}
	if letters != 1 {
		t.Errorf("%d letters, want 1: notes are none", letters)
	}
	for seq := range uint64(2) {
		if _, err := b.Get(t.Context(), 2+seq); !errors.Is(err, deadletter.ErrNotFound) {
			t.Errorf("a note is taken for a dead letter: %v", err)
		}
	}
}

// A republication that was noted when its subject did not name the dead letter yet is
// a note all the same.
func TestStoreReadsNotesOfBefore(t *testing.T) {
	b := newStore(t)
	putLetter(t, b, "1")
	putLetter(t, b, "2")
	before := `{"letter":1,"trade_id":"T1","by":"ann","note":"corrected","stream":"JOBS","sequence":4}`
	if _, err := b.JS.Publish(t.Context(), deadletter.SubjectPrefix+"republished", []byte(before)); err != nil {
		t.Fatal(err)
	}
	letters := 0
	for _, err := range b.Messages(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		letters++
	}
	handled, err := b.Resolutions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := b.Pending(t.Context())
	if err != nil || letters != 2 || waiting != 1 || handled[1].Republished == nil || handled[1].Republished.By != "ann" {
		t.Errorf("%d letters, %d wait, done %v, %v; want 2, of which 1 waits and 1 was published again by ann", letters, waiting, handled, err)
	}
}

func TestLetterHasTheJobsOwnHeadersOnly(t *testing.T) {
	b := newStore(t)
	putLetter(t, b, "{")
	l, err := b.Get(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if l.Reason != "not_json" || l.Subject != "capture.jobs.shipped" || l.Sequence != 7 || string(l.Body) != "{" {
		t.Errorf("read %+v", l)
	}
	if len(l.Header) != 1 || l.Header["ce-type"][0] != "order.shipped" {
		t.Errorf("the job's headers are %v", l.Header)
	}
	if _, err := b.Get(t.Context(), 2); !errors.Is(err, deadletter.ErrNotFound) {
		t.Errorf("a dead letter that is not there: %v", err)
	}
	if err := b.Republished(t.Context(), deadletter.Republication{Letter: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Get(t.Context(), 2); !errors.Is(err, deadletter.ErrNotFound) {
		t.Errorf("a note is taken for a dead letter: %v", err)
	}
}

// What was published again does not wait; what came since does.
func TestLettersThatWaitAreCounted(t *testing.T) {
	b := newStore(t)
	want := func(n int) {
		t.Helper()
		if got, err := b.Pending(t.Context()); err != nil || got != n {
			t.Errorf("%d letters wait, %v; want %d", got, err, n)
		}
	}
	want(0)
	putLetter(t, b, "1")
	putLetter(t, b, "2")
	want(2)
	for range 2 { // the second is the same note, and stored once
		if err := b.Republished(t.Context(), deadletter.Republication{Letter: 1, TradeID: "T1", Stream: "JOBS", Seq: 5, Time: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	want(1)
	// Done with is done with, however often.
	if err := b.Republished(t.Context(), deadletter.Republication{Letter: 1, Stream: "JOBS", Seq: 6}); err != nil {
		t.Fatal(err)
	}
	want(1)
	putLetter(t, b, "3")
	want(2)
	if err := b.Dismiss(t.Context(), deadletter.Dismissal{Letter: 2}); err != nil {
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
	if _, err := b.Pending(t.Context()); err == nil {
		t.Error("a stream that is missing has letters")
	}
}
