package ledger_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/ledger/ledgertest"
)

// lagging returns a ledger whose next n reads reach an empty replica. n is the
// value of the counter.
func lagging(t *testing.T) (*ledger.JetStream, *atomic.Int32) {
	t.Helper()
	js := connect(t, server(t).URL())
	ensure(t, js, ledger.StreamConfig{})
	var lags atomic.Int32
	nc := js.Conn()
	_, err := nc.Subscribe("LAG.>", func(m *nats.Msg) {
		call := strings.TrimPrefix(m.Subject, "LAG.")
		if strings.HasPrefix(call, "DIRECT.GET.") && lags.Add(-1) >= 0 {
			none := nats.NewMsg(m.Reply)
			none.Header.Set("Status", "404")
			if err := nc.PublishMsg(none); err != nil {
				t.Error(err)
			}
			return
		}
		if err := nc.PublishRequest("$JS.API."+call, m.Reply, m.Data); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	slow, err := jetstream.NewWithAPIPrefix(connect(t, nc.ConnectedUrl()).Conn(), "LAG")
	if err != nil {
		t.Fatal(err)
	}
	return ledger.NewJetStream(slow, ledger.Options{}), &lags
}

func TestLaggingReplica(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		events int
	}{{"short trade", 3}, {"long trade", 300}} {
		t.Run(c.name, func(t *testing.T) {
			l, lags := lagging(t)
			var seq uint64
			for n := range c.events {
				var err error
				if seq, err = l.Append(t.Context(), ledgertest.Event("t", capture.Queried, n), seq); err != nil {
					t.Fatal(err)
				}
			}
			lags.Store(1)
			old, err := l.Load(t.Context(), "t")
			if err != nil || old.Seq != 0 {
				t.Fatalf("the replica replied with %+v, %v; this test needs it to lag", old, err)
			}
			for _, n := range []int32{1, 2, 257} {
				lags.Store(n)
				if got, err := l.LoadLatest(t.Context(), "t"); err != nil || got.Seq != seq || len(got.Events) != c.events {
					t.Errorf("LoadLatest used the lagging replica: %d events up to %d, %v", len(got.Events), got.Seq, err)
				}
			}
			lags.Store(2)
			if got := walked(t, l); len(got) != 1 {
				t.Errorf("Trades used the lagging replica: %v", got)
			}
		})
	}
}
