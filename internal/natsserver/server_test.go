package natsserver_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/capture-worker/capture-worker/internal/natsserver"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, processtest.Leftovers()) }

func start(t *testing.T, o natsserver.Options) *natsserver.Server {
	t.Helper()
	s, err := natsserver.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

func connect(t *testing.T, url string) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url, nats.Timeout(processtest.Patience))
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

// retry repeats a request until it succeeds: during an election requests are lost.
func retry(t *testing.T, what string, ask func() error) {
	t.Helper()
	var last error
	if !processtest.Comes(processtest.Patience, func() bool { last = ask(); return last == nil }) {
		t.Fatalf("%s: %v", what, last)
	}
}

func publish(t *testing.T, js jetstream.JetStream, replicas int) {
	t.Helper()
	retry(t, "creating the stream", func() error {
		_, err := js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, Replicas: replicas})
		return err
	})
	retry(t, "publishing", func() error {
		_, err := js.Publish(t.Context(), "s.a", []byte("x"), jetstream.WithMsgID("x"))
		return err
	})
}

// stream returns the stream that publish has created.
func stream(t *testing.T, js jetstream.JetStream) *jetstream.StreamInfo {
	t.Helper()
	var info *jetstream.StreamInfo
	retry(t, "finding the stream", func() error {
		s, err := js.Stream(t.Context(), "S")
		if err == nil {
			info = s.CachedInfo()
		}
		return err
	})
	return info
}

func TestRestartKeepsMessages(t *testing.T) {
	dir := t.TempDir()
	first := start(t, natsserver.Options{StoreDir: dir, SyncAlways: true})
	publish(t, connect(t, first.URL()), 1)
	port := first.Port()
	first.Shutdown()
	first.Shutdown() // the second call does nothing

	second := start(t, natsserver.Options{StoreDir: dir, Port: port})
	if second.URL() != first.URL() {
		t.Errorf("address %s, want %s", second.URL(), first.URL())
	}
	if got := stream(t, connect(t, second.URL())).State.Msgs; got != 1 {
		t.Errorf("%d messages after the restart, want 1", got)
	}
}

func TestAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	began := time.Now()
	_, err = natsserver.Start(natsserver.Options{StoreDir: t.TempDir(), Port: l.Addr().(*net.TCPAddr).Port, ReadyTimeout: processtest.Patience})
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("want an error that names %s, got %v", l.Addr(), err)
	}
	if took := time.Since(began); took > processtest.Patience/2 {
		t.Errorf("it took %s", took)
	}
}

func TestStoreIsLocked(t *testing.T) {
	dir := t.TempDir()
	start(t, natsserver.Options{StoreDir: dir})
	_, err := natsserver.Start(natsserver.Options{StoreDir: dir})
	if err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("want an error that names the directory, got %v", err)
	}
}

func TestStoreDirIsRequired(t *testing.T) {
	if _, err := natsserver.Start(natsserver.Options{}); err == nil || errors.Is(err, natsserver.ErrNotReady) {
		t.Errorf("want an error about the store, got %v", err)
	}
}

func TestClusterReplicates(t *testing.T) {
	c, err := natsserver.StartCluster(3, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Shutdown)
	js := connect(t, c.URL())
	publish(t, js, 3)
	if got := len(stream(t, js).Cluster.Replicas); got != 2 {
		t.Errorf("the leader has %d replicas, want 2", got)
	}
}

func TestClusterRestart(t *testing.T) {
	c, err := natsserver.StartCluster(3, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Shutdown)
	js := connect(t, c.URL())
	publish(t, js, 3)
	before := c.Servers[1].URL()
	c.Servers[1].Shutdown()
	if err := c.Restart(1); err != nil {
		t.Fatal(err)
	}
	if got := c.Servers[1].URL(); got != before {
		t.Errorf("address %s, want %s", got, before)
	}
	if got := stream(t, connect(t, before)).State.Msgs; got != 1 {
		t.Errorf("%d messages after the restart, want 1", got)
	}
}
