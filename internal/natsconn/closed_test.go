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

// ending is why a connection ended.
func ending(t *testing.T, told <-chan error) error {
	t.Helper()
	select {
	case err := <-told:
		return err
	case <-time.After(processtest.Patience):
		t.Fatal("nobody was told of the end")
		return nil
	}
}

// TestTheEndOfAConnectionIsTold: nats.go closes a connection for good on an
// error of the server that it does not know, whatever it was told about
// reconnecting. Here the server takes less than it said, which it tells no client.
func TestTheEndOfAConnectionIsTold(t *testing.T) {
	options := func(most int32) *server.Options {
		return &server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, MaxPayload: most}
	}
	first := options(1 << 20)
	first.Port = processtest.FreePort(t)
	s := serve(t, first)
	nc, _ := logged(t, "nats://"+s.Addr().String())
	told := make(chan error, 2)
	nc.OnClosed(func(err error) { told <- err })
	lower := options(1 << 10)
	lower.Port = first.Port
	if err := s.ReloadOptions(lower); err != nil {
		t.Fatal(err)
	}
	if err := nc.Publish("large", make([]byte, 4<<10)); err != nil {
		t.Fatal(err)
	}
	if err := ending(t, told); !strings.Contains(err.Error(), "Maximum Payload") {
		t.Errorf("it ended with %v", err)
	}
	nc.OnClosed(func(err error) { told <- err })
	if err := ending(t, told); err == nil {
		t.Error("who asks late hears no reason")
	}
}

func TestCloseIsAnEndToo(t *testing.T) {
	s := serve(t, &server.Options{Host: "127.0.0.1", Port: processtest.FreePort(t), NoSigs: true})
	nc, err := natsconn.Connect(t.Context(), natsconn.Config{URL: "nats://" + s.Addr().String()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan error, 1)
	nc.OnClosed(func(err error) { told <- err })
	nc.Close()
	if err := ending(t, told); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("it ended with %v", err)
	}
}
