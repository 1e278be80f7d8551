package ledger_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/natsconn"
	"github.com/capture-worker/capture-worker/internal/natsserver"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/ledger/ledgertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, processtest.Leftovers()) }

func server(t *testing.T) *natsserver.Server {
	t.Helper()
	s, err := natsserver.Start(natsserver.Options{StoreDir: t.TempDir(), Port: processtest.FreePort(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

func cluster(t *testing.T) *natsserver.Cluster {
	t.Helper()
	c, err := natsserver.StartCluster(3, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Shutdown)
	return c
}

func connect(t *testing.T, url string, opts ...nats.Option) jetstream.JetStream {
	t.Helper()
	opts = append(opts, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.ReconnectJitter(0, 0))
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func ensure(t *testing.T, js jetstream.JetStream, c ledger.StreamConfig) {
	t.Helper()
	var findings []ledger.Finding
	// A cluster that has just elected its leader may lose a request.
	err := natsconn.RetryUntilReady(t.Context(), slog.New(slog.DiscardHandler), func(ctx context.Context) (err error) {
		findings, err = ledger.EnsureStream(ctx, js, c)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(findings) > 0 {
		t.Fatalf("findings for a new stream: %v", findings)
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	ledgertest.Run(t, func(*testing.T) ledger.Ledger { return &ledger.Memory{} })
}

func TestFaultyWithoutHooks(t *testing.T) {
	t.Parallel()
	ledgertest.Run(t, func(*testing.T) ledger.Ledger { return ledgertest.Faulty{Ledger: &ledger.Memory{}} })
}

// bothWays runs a test with single appends and with batches.
func bothWays(t *testing.T, test func(t *testing.T, open opener)) {
	t.Parallel()
	for name, open := range map[string]opener{
		"singly": ledger.NewJetStream,
		"in batches": func(js jetstream.JetStream, o ledger.Options) *ledger.JetStream {
			return ledger.SendBatches(ledger.NewJetStream(js, o))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open)
		})
	}
}

type opener func(jetstream.JetStream, ledger.Options) *ledger.JetStream

func TestJetStream(t *testing.T) {
	t.Parallel()
	js := connect(t, server(t).URL())
	ensure(t, js, ledger.StreamConfig{})
	ledgertest.Run(t, func(*testing.T) ledger.Ledger { return ledger.NewJetStream(js, ledger.Options{}) })
}

// TestJetStreamInBatches uses a stream in memory: on disk each of the many small
// batches would cost some files.
func TestJetStreamInBatches(t *testing.T) {
	t.Parallel()
	js := connect(t, server(t).URL())
	made := suitable()
	made.AllowAtomicPublish, made.Storage = true, jetstream.MemoryStorage
	if _, err := js.CreateStream(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	ledgertest.Run(t, func(*testing.T) ledger.Ledger {
		return ledger.SendBatches(ledger.NewJetStream(js, ledger.Options{}))
	})
}

func TestJetStreamReplicated(t *testing.T) {
	bothWays(t, func(t *testing.T, open opener) {
		js := connect(t, cluster(t).URL())
		ensure(t, js, ledger.StreamConfig{Replicas: 3})
		ledgertest.Run(t, func(*testing.T) ledger.Ledger { return open(js, ledger.Options{}) })
	})
}

// TestZeroValues checks that the methods of zero values return errors that say what
// is missing.
func TestZeroValues(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]ledger.Ledger{"NewJetStream": &ledger.JetStream{}, "Ledger is not set": ledgertest.Faulty{}} {
		_, appendErr := l.Append(t.Context(), ledgertest.Event("t", capture.Attempted, 1), 0)
		_, loadErr := l.Load(t.Context(), "t")
		_, _, lastErr := l.Last(t.Context(), "t")
		for _, err := range []error{appendErr, loadErr, lastErr} {
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("got %v, want an error that contains %q", err, name)
			}
		}
	}
	for _, err := range (&ledger.JetStream{}).Watch(t.Context(), 1) {
		if err == nil {
			t.Error("Watch of a zero JetStream yields an event")
		}
	}
	if _, err := (&ledger.ParkedTrades{}).Look(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "Cases.Follow") {
		t.Errorf("Look: %v", err)
	}
}
