package natsconn_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/capture-worker/capture-worker/internal/natsconn"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

// closeReason waits for the reason with which a connection was closed.
func closeReason(t *testing.T, reasons <-chan error) error {
	t.Helper()
	select {
	case err := <-reasons:
		return err
	case <-time.After(processtest.Patience):
		t.Fatal("OnClosed was not called")
		return nil
	}
}

// TestOnClosedAfterServerError checks OnClosed with an unknown error of the server,
// on which nats.go closes the connection in spite of the reconnect settings. Here
// the server lowers its maximum payload, about which it does not inform clients.
func TestOnClosedAfterServerError(t *testing.T) {
	options := func(most int32) *server.Options {
		return &server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, MaxPayload: most}
	}
	first := options(1 << 20)
	first.Port = processtest.FreePort(t)
	s := serve(t, first)
	nc, _ := logged(t, "nats://"+s.Addr().String())
	reasons := make(chan error, 2)
	nc.OnClosed(func(err error) { reasons <- err })
	lower := options(1 << 10)
	lower.Port = first.Port
	if err := s.ReloadOptions(lower); err != nil {
		t.Fatal(err)
	}
	if err := nc.Publish("large", make([]byte, 4<<10)); err != nil {
		t.Fatal(err)
	}
	if err := closeReason(t, reasons); !strings.Contains(err.Error(), "Maximum Payload") {
		t.Errorf("the reason is %v", err)
	}
	nc.OnClosed(func(err error) { reasons <- err })
	if err := closeReason(t, reasons); err == nil {
		t.Error("no reason for a handler set after the end")
	}
}

func TestOnClosedAfterClose(t *testing.T) {
	s := serve(t, &server.Options{Host: "127.0.0.1", Port: processtest.FreePort(t), NoSigs: true})
	nc, err := natsconn.Connect(t.Context(), natsconn.Config{URL: "nats://" + s.Addr().String()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	reasons := make(chan error, 1)
	nc.OnClosed(func(err error) { reasons <- err })
	nc.Close()
	if err := closeReason(t, reasons); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("the reason is %v", err)
	}
}
