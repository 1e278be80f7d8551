// Package natstest starts a NATS server with JetStream for a test.
package natstest

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/internal/natsserver"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

// JetStream starts a server with an empty store and returns its JetStream. The
// server and the connection (Conn) end with the test. Requests wait as long as the
// test does, because a busy machine may delay a reply.
func JetStream(t testing.TB) jetstream.JetStream {
	t.Helper()
	server, err := natsserver.Start(natsserver.Options{StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	nc, err := nats.Connect(server.URL(), nats.Timeout(processtest.Patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(processtest.Patience))
	if err != nil {
		t.Fatal(err)
	}
	return js
}
