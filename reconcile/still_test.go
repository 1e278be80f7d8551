package reconcile_test

import (
	"context"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/reconcile"
)

// A process that pauses after it read an answer does not make the answer
// younger: it tells what was true when it was asked. Found by sim.
func TestAnAnswerIsAsOldAsItsQuestion(t *testing.T) {
	t.Parallel()
	recorder := newRecorder(&ledger.Memory{}, "w1")
	announce(t, recorder)
	now := noon.Add(time.Minute)
	recorder.Now = func() time.Time { return now }
	query := func(context.Context, string) capture.Answer {
		now = now.Add(2 * time.Minute) // pauses, after the client measured a second
		return capture.Answer{Kind: capture.AnswerDone, Code: capture.CodeSuccess, Latency: time.Second,
			Order: &capture.Order{TradeID: "T1", State: capture.OrderAuthorized}}
	}
	r := reconcile.Resolver{Recorder: recorder, Query: query}
	result, err := r.Resolve(t.Context(), "T1")
	if err != nil {
		t.Fatal(err)
	}
	if asked := result.After.LastQuery; !asked.Equal(noon.Add(time.Minute)) {
		t.Errorf("the query counts as asked at %s, it was asked a minute after noon", asked)
	}
}
