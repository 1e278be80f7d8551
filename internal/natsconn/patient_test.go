package natsconn_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/internal/natsconn"
	"github.com/capture-worker/capture-worker/internal/natsserver"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

// electing is a JetStream that replies to no look-up until it is ready.
type electing struct {
	jetstream.JetStream
	ready bool
	tries int
}

func (js *electing) Conn() *nats.Conn { return nil }

func (js *electing) AccountInfo(ctx context.Context) (*jetstream.AccountInfo, error) {
	js.tries++
	if js.ready {
		return &jetstream.AccountInfo{}, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (js *electing) StreamNameBySubject(context.Context, string) (string, error) {
	js.tries++
	return "", jetstream.ErrStreamNotFound
}

func TestPatientLookUpsShareOneBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := &electing{}
		js := natsconn.Patient(inner, slog.New(slog.DiscardHandler))
		begin := time.Now()
		_, err := js.AccountInfo(t.Context())
		if waited := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || waited < 30*time.Second || waited > 36*time.Second || inner.tries < 5 {
			t.Errorf("after %s and %d tries: %v", waited, inner.tries, err)
		}
		inner.tries, begin = 0, time.Now()
		if _, err := js.AccountInfo(t.Context()); err == nil || inner.tries != 1 || time.Since(begin) > 6*time.Second {
			t.Errorf("the next one was given up after %s and %d tries: %v", time.Since(begin), inner.tries, err)
		}
		inner.ready = true
		if _, err := js.AccountInfo(t.Context()); err != nil {
			t.Error(err)
		}
		inner.ready, inner.tries = false, 0
		if _, err := js.AccountInfo(t.Context()); err == nil || inner.tries < 5 {
			t.Errorf("after it was ready again: given up after %d tries", inner.tries)
		}
		inner.tries = 0
		if _, err := js.StreamNameBySubject(t.Context(), "s"); !errors.Is(err, jetstream.ErrStreamNotFound) || inner.tries != 1 {
			t.Errorf("a stream that does not exist: %v after %d tries", err, inner.tries)
		}
	})
}

// notices closes a channel at the first log line.
type notices struct {
	once sync.Once
	seen chan struct{}
}

func (n *notices) Write(b []byte) (int, error) {
	n.once.Do(func() { close(n.seen) })
	return len(b), nil
}

// A stream is looked for while its servers elect a leader: the look-up waits for
// them instead of failing.
func TestPatientLookUpDuringAnElection(t *testing.T) {
	processtest.Long(t)
	t.Parallel()
	c, err := natsserver.StartCluster(3, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Shutdown)
	nc, err := nats.Connect(c.Servers[0].URL(), nats.Timeout(processtest.Patience), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(processtest.Patience))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Replicas: 3}); err != nil {
		t.Fatal(err)
	}
	c.Servers[1].Shutdown()
	c.Servers[2].Shutdown()
	log := &notices{seen: make(chan struct{})}
	var restarting sync.WaitGroup
	restarting.Go(func() {
		<-log.seen // the look-up has failed once
		if err := c.Restart(1, 2); err != nil {
			t.Error(err)
		}
	})
	_, err = natsconn.Patient(js, slog.New(slog.NewTextHandler(log, nil))).Stream(t.Context(), "S")
	log.once.Do(func() { close(log.seen) })
	restarting.Wait()
	if err != nil {
		t.Errorf("the look-up failed: %v", err)
	}
}
