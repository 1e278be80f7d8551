package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/jobfile"
	"github.com/capture-worker/capture-worker/internal/natstest"
)

func someRows(t *testing.T, n int) jobfile.Rows {
	t.Helper()
	amount, err := capture.ParseAmount("1.00", "EUR")
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func(jobfile.Row, error) bool) {
		for i := range n {
			job := capture.Job{TradeID: fmt.Sprintf("t-%d", i), Amount: amount}
			if !yield(jobfile.Row{Line: i + 1, Job: job, Body: []byte(job.TradeID)}, nil) {
				return
			}
		}
	}
}

// ownBroker is JetStream on a server of its own.
func ownBroker(t *testing.T) jetstream.JetStream {
	t.Helper()
	return natstest.JetStream(t)
}

// realStream is a stream J on a server of its own, with the subjects j.>, and
// the count of its messages.
func realStream(t *testing.T) (jetstream.JetStream, func() uint64) {
	t.Helper()
	js := ownBroker(t)
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "J", Subjects: []string{"j.>"}})
	if err != nil {
		t.Fatal(err)
	}
	return js, func() uint64 {
		info, err := stream.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return info.State.Msgs
	}
}

var errLost = errors.New("the connection broke")

// TestSendTriesAgain checks that each row is stored once, although the first try of
// every row fails: for some rows without storing, for others after storing. Either
// way each row is stored once.
func TestSendTriesAgain(t *testing.T) {
	for name, stores := range map[string]bool{"not done": false, "done but reported failed": true} {
		t.Run(name, func(t *testing.T) {
			js, count := realStream(t)
			publish := toStream(js, "J", "j.batch")
			var tried sync.Map
			s := &sender{progress: func() {}, publish: func(ctx context.Context, id string, r jobfile.Row) (bool, error) {
				if _, again := tried.LoadOrStore(id, true); again {
					return publish(ctx, id, r)
				}
				if stores {
					if _, err := publish(ctx, id, r); err != nil {
						t.Error(err)
					}
				}
				return false, errLost
			}}
			if err := s.send(t.Context(), someRows(t, 20), false); err != nil {
				t.Fatal(err)
			}
			if n := count(); n != 20 || s.sent.Load() != 20 {
				t.Errorf("the stream holds %d messages, %d are said to be sent", n, s.sent.Load())
			}
			if repeated := s.repeated.Load(); (repeated == 20) != stores {
				t.Errorf("%d were repeated", repeated)
			}
		})
	}
}

// TestSendToNoStream checks that a row counts as sent only if the stream confirms
// it.
func TestSendToNoStream(t *testing.T) {
	js, _ := realStream(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	for name, publish := range map[string]publishFunc{
		"a subject that no stream takes": toStream(js, "J", "elsewhere"),
		"a subject of another stream":    toStream(js, "OTHER", "j.batch"),
	} {
		s := &sender{progress: func() {}, publish: publish}
		if err := s.send(ctx, someRows(t, 1), false); err == nil || s.sent.Load() != 0 {
			t.Errorf("%s: %v, %d sent", name, err, s.sent.Load())
		}
	}
}

// TestSendKnowsTheHopeless checks that a permanent error ends sending at once.
func TestSendKnowsTheHopeless(t *testing.T) {
	var calls atomic.Int64
	s := &sender{progress: func() {}, publish: func(context.Context, string, jobfile.Row) (bool, error) {
		calls.Add(1)
		return false, nats.ErrMaxPayload
	}}
	err := s.send(t.Context(), someRows(t, 1), false)
	if !errors.Is(err, nats.ErrMaxPayload) || !strings.Contains(err.Error(), "line 1, trade t-0") || calls.Load() != 1 {
		t.Errorf("%v after %d tries", err, calls.Load())
	}
}

// TestSendGivesUp checks that a row that cannot be stored ends sending within the
// limit, and that the number of messages in flight is limited.
func TestSendGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		s := &sender{progress: func() {}, publish: func(ctx context.Context, id string, _ jobfile.Row) (bool, error) {
			n := now.Add(1)
			defer now.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(time.Second)
			return false, errLost
		}}
		start := time.Now()
		err := s.send(t.Context(), someRows(t, 10_000), false)
		if !errors.Is(err, errLost) || !strings.Contains(err.Error(), "the stream did not confirm the job") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took > rowTimeout+lastPause {
			t.Errorf("it took %s", took)
		}
		if most.Load() > sendWindow {
			t.Errorf("%d on their way at a time", most.Load())
		}
	})
}

func TestSendEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var calls atomic.Int64
	s := &sender{progress: func() {}, publish: func(ctx context.Context, _ string, _ jobfile.Row) (bool, error) {
		if calls.Add(1) == 5 {
			cancel()
		}
		<-ctx.Done()
		return false, ctx.Err()
	}}
	if err := s.send(ctx, someRows(t, 10), false); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestSendStopsAtAChange checks that a row that was good in the first pass and is
// bad now ends sending.
func TestSendStopsAtAChange(t *testing.T) {
	changed := func(yield func(jobfile.Row, error) bool) {
		yield(jobfile.Row{Line: 7, Err: errors.New("it is bad")}, nil)
	}
	s := &sender{progress: func() {}}
	if err := s.send(t.Context(), changed, false); err == nil || !strings.Contains(err.Error(), "line 7 passed the check") {
		t.Errorf("got %v", err)
	}
	if err := s.send(t.Context(), changed, true); err != nil {
		t.Errorf("with bad rows passed over: %v", err)
	}
}

// TestMessageID checks that the id depends on the request and not on its spelling.
func TestMessageID(t *testing.T) {
	job := func(trade, number, code string) capture.Job {
		a, err := capture.ParseAmount(number, code)
		if err != nil {
			t.Fatal(err)
		}
		return capture.Job{TradeID: trade, Amount: a}
	}
	base := messageID(job("t-1", "5.00", "EUR"))
	if messageID(job("t-1", "5", "EUR")) != base {
		t.Error("5 and 5.00 have different ids")
	}
	later := job("t-1", "5.00", "EUR")
	later.CaptureBefore = time.Date(2026, 12, 20, 0, 0, 0, 0, time.UTC)
	for _, other := range []capture.Job{later, job("t-2", "5.00", "EUR"), job("t-1", "5.01", "EUR"), job("t-1", "5.00", "USD")} {
		if messageID(other) == base {
			t.Errorf("%+v has the id of another job", other)
		}
	}
}
