package natsconn_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/internal/natsconn"
	"github.com/capture-worker/capture-worker/internal/natsserver"
)

var (
	errNoLeader = fmt.Errorf("stream S: %w", &jetstream.APIError{Code: 503, ErrorCode: 10008, Description: "JetStream system temporarily unavailable"})
	errNoPeers  = fmt.Errorf("stream S: %w", &jetstream.APIError{Code: 400, ErrorCode: 10005, Description: "no suitable peers for placement, peer offline"})
)

func TestRetryUntilReadyWithoutLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := []error{errNoPeers, errNoLeader, errNoLeader, fmt.Errorf("a request: %w", context.DeadlineExceeded), nats.ErrTimeout, nil}
		var log strings.Builder
		requests := 0
		err := natsconn.RetryUntilReady(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), func(context.Context) error {
			requests++
			return answers[requests-1]
		})
		if err != nil || requests != len(answers) {
			t.Errorf("%d requests, %v", requests, err)
		}
		if n := strings.Count(log.String(), "JetStream not ready"); n != 4 { // once for each reason
			t.Errorf("logged %d times:\n%s", n, log.String())
		}
	})
}

func TestRetryUntilReadyReturnsOtherErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		for _, want := range []error{
			errors.New("a mistake"), jetstream.ErrJetStreamNotEnabled, jetstream.ErrJetStreamNotEnabledForAccount,
			jetstream.ErrStreamNotFound, nats.ErrConnectionClosed,
		} {
			if err := natsconn.RetryUntilReady(t.Context(), slog.New(slog.DiscardHandler), func(context.Context) error { return want }); !errors.Is(err, want) {
				t.Errorf("%v became %v", want, err)
			}
		}
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("waited %s", waited)
		}
	})
}

func TestRetryUntilReadyTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		err := natsconn.RetryUntilReady(t.Context(), slog.New(slog.DiscardHandler), func(context.Context) error { return errNoLeader })
		if waited := time.Since(begin); !errors.Is(err, errNoLeader) || waited < 30*time.Second || waited > 31*time.Second {
			t.Errorf("after %s: %v", waited, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begin = time.Now()
		err = natsconn.RetryUntilReady(ctx, slog.New(slog.DiscardHandler), func(context.Context) error { return errNoLeader })
		if waited := time.Since(begin); !errors.Is(err, errNoLeader) || waited > 4*time.Second {
			t.Errorf("with three seconds: after %s: %v", waited, err)
		}
	})
}

func TestExplain(t *testing.T) {
	t.Parallel()
	other := errors.New("disk full")
	alone := fmt.Errorf("stream S: %w", &jetstream.APIError{Code: 500, ErrorCode: 10074, Description: "replicas > 1 not supported in non-clustered mode"})
	if err := natsconn.Explain(nil, alone); !errors.Is(err, alone) || !strings.Contains(err.Error(), "set nats.replicas to 1") {
		t.Errorf("%v is explained as %v", alone, err)
	}
	for _, as := range []error{errNoLeader, errNoPeers} {
		if err := natsconn.Explain(nil, as); !errors.Is(err, as) || !strings.Contains(err.Error(), "no leader") {
			t.Errorf("%v is explained as %v", as, err)
		}
	}
	nc, err := nats.Connect(embedded(t, natsserver.Options{StoreDir: t.TempDir()}).URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for _, as := range []error{nats.ErrNoResponders, jetstream.ErrJetStreamNotEnabled} {
		if err := natsconn.Explain(nc, as); !errors.Is(err, as) || !strings.HasPrefix(err.Error(), "JetStream does not answer at nats://127.0.0.1:") {
			t.Errorf("%v is explained as %v", as, err)
		}
	}
	if err := natsconn.Explain(nil, other); err != other {
		t.Errorf("%v became %v", other, err)
	}
	if err := natsconn.Explain(nil, nil); err != nil {
		t.Errorf("nothing became %v", err)
	}
}

// TestServer checks that the name of the server contains no credentials, and is not
// empty without a connection.
func TestServer(t *testing.T) {
	t.Parallel()
	s := embedded(t, natsserver.Options{StoreDir: t.TempDir()})
	for _, secret := range []string{"s3cret", "ann:s3cret"} {
		conn, out := logged(t, strings.Replace(s.URL(), "nats://", "nats://"+secret+"@", 1))
		nc := conn.Conn
		if strings.Contains(out.String(), "s3cret") {
			t.Errorf("the log contains the secret:\n%s", out.String())
		}
		if got := natsconn.Server(nc); got != s.URL() {
			t.Errorf("the server of %s is %q, want %q", secret, got, s.URL())
		}
		nc.Close()
		if got := natsconn.Server(nc); got != "the NATS servers" {
			t.Errorf("without a connection the server is %q", got)
		}
		if err := natsconn.Explain(nc, nats.ErrNoResponders); !strings.HasPrefix(err.Error(), "JetStream does not answer at the NATS servers: ") {
			t.Errorf("%v", err)
		}
	}
}
