package ledger_test

import (
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/ledger/ledgertest"
)

// winners holds the appends that were confirmed to their writers.
type winners struct {
	mu        sync.Mutex
	confirmed map[uint64]string // event id by sequence
}

func (w *winners) add(t *testing.T, seq uint64, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.confirmed[seq] != "" {
		t.Errorf("sequence %d was returned twice", seq)
	}
	w.confirmed[seq] = id
}

func (w *winners) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.confirmed)
}

// TestLeaderChanges checks an append by several writers to one trade while the
// leader of the replicated stream changes. Every stored event was confirmed to its
// writer, and every confirmed event is stored.
func TestLeaderChanges(t *testing.T) {
	bothWays(t, newLeaders)
}

func newLeaders(t *testing.T, open opener) {
	c := cluster(t)
	js := connect(t, c.URL())
	ensure(t, js, ledger.StreamConfig{Replicas: 3})
	won := &winners{confirmed: map[uint64]string{}}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 4 {
		l := open(connect(t, c.URL()), ledger.Options{Timeout: 500 * time.Millisecond, Bound: processtest.Patience})
		wg.Go(func() { contend(t, l, "t", w, stop, won) })
	}
	for range 4 {
		before := won.count()
		await(t, "progress under this leader", func() bool { return won.count() >= before+5 })
		stepDown(t, js.Conn(), ledger.DefaultStream)
	}
	before := won.count()
	await(t, "progress under the last leader", func() bool { return won.count() >= before+5 })
	close(stop)
	wg.Wait()

	got, err := ledger.NewJetStream(js, patient).LoadLatest(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Events) != len(won.confirmed) {
		t.Errorf("the ledger holds %d events, %d were confirmed", len(got.Events), len(won.confirmed))
	}
	confirmed := map[string]bool{}
	for _, id := range won.confirmed {
		confirmed[id] = true
	}
	for _, e := range got.Events {
		if !confirmed[e.ID] {
			t.Errorf("%s is stored, but was not confirmed to its writer", e.ID)
		}
	}
}

// TestLoadLatestDoesNotLag checks that LoadLatest returns all earlier appends,
// whatever server the client is connected to and whatever replica replies.
func TestLoadLatestDoesNotLag(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	ensure(t, connect(t, c.URL()), ledger.StreamConfig{Replicas: 3})
	var clients []*ledger.JetStream
	for _, s := range c.Servers {
		clients = append(clients, ledger.NewJetStream(connect(t, s.URL()), patient))
	}
	var last uint64
	for n := range 60 {
		seq, err := clients[n%3].Append(t.Context(), ledgertest.Event("t", capture.Queried, n), last)
		if err != nil {
			t.Fatal(err)
		}
		last = seq
		for _, l := range clients {
			got, err := l.LoadLatest(t.Context(), "t")
			if err != nil || got.Seq != seq || len(got.Events) != n+1 {
				t.Fatalf("%d events up to %d, want %d up to %d, %v", len(got.Events), got.Seq, n+1, seq, err)
			}
		}
	}
}

// contend appends until stop, and reads again after each conflict.
func contend(t *testing.T, l ledger.Ledger, trade string, writer int, stop <-chan struct{}, won *winners) {
	var last uint64
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		e := ledgertest.Event(trade, capture.Queried, writer*100_000+n)
		seq, err := l.Append(t.Context(), e, last)
		switch {
		case err == nil:
			won.add(t, seq, e.ID)
			last = seq
			continue
		case !errors.Is(err, ledger.ErrConflict):
			t.Error(err)
			return
		}
		now, err := l.LoadLatest(t.Context(), trade)
		if err != nil {
			t.Error(err)
			return
		}
		last = now.Seq
	}
}

func stepDown(t *testing.T, nc *nats.Conn, stream string) {
	t.Helper()
	await(t, "the leader of "+stream+" steps down", func() bool {
		answer, err := nc.Request("$JS.API.STREAM.LEADER.STEPDOWN."+stream, nil, 2*time.Second)
		return err == nil && !hasError(answer.Data)
	})
}

func hasError(b []byte) bool {
	var answer struct {
		Error any `json:"error"`
	}
	return json.Unmarshal(b, &answer) != nil || answer.Error != nil
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	processtest.WaitFor(t, processtest.Patience, what, ok)
}
