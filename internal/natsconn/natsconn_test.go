package natsconn_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/capture-worker/capture-worker/internal/natsconn"
	"github.com/capture-worker/capture-worker/internal/natsserver"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func embedded(t *testing.T, o natsserver.Options) *natsserver.Server {
	t.Helper()
	s, err := natsserver.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

// serve runs a server with options that package natsserver does not have.
func serve(t *testing.T, o *server.Options) *server.Server {
	t.Helper()
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(processtest.Patience) {
		t.Fatal("the server did not start")
	}
	return s
}

// guarded runs a server that requires a user and password.
func guarded(t *testing.T) string {
	t.Helper()
	return serve(t, &server.Options{Host: "127.0.0.1", Port: -1, Username: "shop", Password: "hunter2", NoSigs: true}).Addr().String()
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	processtest.WaitFor(t, processtest.Patience, what, ok)
}

func TestConnects(t *testing.T) {
	addr := guarded(t)
	for _, c := range []struct {
		name string
		cfg  natsconn.Config
	}{
		{"user and password", natsconn.Config{URL: "nats://" + addr, User: "shop", Password: "hunter2"}},
		{"in the address", natsconn.Config{URL: "nats://shop:hunter2@" + addr}},
		{"no scheme", natsconn.Config{URL: addr, User: "shop", Password: "hunter2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			nc, err := natsconn.Connect(t.Context(), c.cfg, nil)
			if err != nil {
				t.Fatal(err)
			}
			nc.Close()
		})
	}
}

func TestContextOfTheCommandLineTool(t *testing.T) {
	addr := guarded(t)
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	dir := filepath.Join(home, "nats", "context")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(map[string]string{"url": "nats://" + addr, "user": "shop", "password": "hunter2", "jetstream_domain": "hub"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "prod.json"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	nc, err := natsconn.Connect(t.Context(), natsconn.Config{Context: "prod"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := nc.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	if got := js.Options().APIPrefix; got != "$JS.hub.API" {
		t.Errorf("JetStream API %q, want that of the context's domain", got)
	}
	if _, err := natsconn.Connect(t.Context(), natsconn.Config{Context: natsconn.SelectedContext}, nil); err == nil {
		t.Error("connected although no context is selected")
	}
	if err := os.WriteFile(filepath.Join(home, "nats", "context.txt"), []byte("prod\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	selected, err := natsconn.Connect(t.Context(), natsconn.Config{Context: natsconn.SelectedContext, InboxPrefix: "_INBOX_worker"},
		slog.New(slog.NewTextHandler(&logged, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer selected.Close()
	if !strings.Contains(logged.String(), `configured_by="context prod"`) || !strings.HasPrefix(selected.NewInbox(), "_INBOX_worker.") {
		t.Errorf("inbox %s, logged %s", selected.NewInbox(), logged.String())
	}
	if _, err := natsconn.Connect(t.Context(), natsconn.Config{Context: "absent"}, nil); err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("an unknown context: %v", err)
	}
}

func TestPermanentErrorsAreReturnedAtOnce(t *testing.T) {
	addr := guarded(t)
	for _, c := range []struct {
		name string
		cfg  natsconn.Config
		says string
	}{
		{"wrong password", natsconn.Config{URL: "nats://shop:s3cret@" + addr}, addr + ": the server rejects the credentials"},
		{"credentials are a directory", natsconn.Config{URL: addr, Creds: t.TempDir()}, "is a directory"},
		{"TLS required by the address", natsconn.Config{URL: "tls://" + addr}, "the server does not offer it"},
		{"no credentials file", natsconn.Config{URL: addr, Creds: "absent.creds"}, "absent.creds"},
		{"no CA file", natsconn.Config{URL: addr, CA: "absent.pem"}, "absent.pem"},
		{"certificate without key", natsconn.Config{URL: addr, Cert: "c.pem"}, "key"},
		{"bad address", natsconn.Config{URL: "nats://shop:s3cret@ho st:4222"}, "nats://host:4222"},
		{"bad port", natsconn.Config{URL: "nats://shop:s3cret@host:port"}, "nats://host:4222"},
	} {
		t.Run(c.name, func(t *testing.T) {
			began := time.Now()
			c.cfg.StartTimeout = processtest.Patience
			_, err := natsconn.Connect(t.Context(), c.cfg, nil)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("want an error that contains %q, got %v", c.says, err)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the password is in the error: %v", err)
			}
			if took := time.Since(began); took > processtest.Patience/2 {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func TestStartTimeout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	_, err = natsconn.Connect(t.Context(), natsconn.Config{URL: "nats://me:s3cret@" + addr, StartTimeout: 300 * time.Millisecond}, nil)
	if !errors.Is(err, nats.ErrNoServers) || !strings.Contains(err.Error(), addr) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := natsconn.Connect(ctx, natsconn.Config{URL: addr}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestServerThatStartsLate(t *testing.T) {
	dir := t.TempDir()
	first := embedded(t, natsserver.Options{StoreDir: dir})
	port, url := first.Port(), first.URL()
	first.Shutdown()

	tried := make(chan struct{}, 1)
	log := slog.New(slog.NewTextHandler(signal(tried), &slog.HandlerOptions{Level: slog.LevelDebug}))
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		nc, err := natsconn.Connect(t.Context(), natsconn.Config{URL: url}, log)
		if err != nil {
			t.Error(err)
			return
		}
		nc.Close()
	})
	<-tried
	embedded(t, natsserver.Options{StoreDir: dir, Port: port})
	wg.Wait()
}

// signal is a writer that signals its first write.
type signal chan struct{}

func (s signal) Write(b []byte) (int, error) {
	select {
	case s <- struct{}{}:
	default:
	}
	return len(b), nil
}

func TestReconnectIsLogged(t *testing.T) {
	dir := t.TempDir()
	first := embedded(t, natsserver.Options{StoreDir: dir})
	var out processtest.Output
	nc, err := natsconn.Connect(t.Context(), natsconn.Config{URL: first.URL()}, slog.New(slog.NewTextHandler(&out, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	port := first.Port()
	first.Shutdown()
	eventually(t, "the loss in the log", func() bool { return strings.Contains(out.String(), "connection to NATS lost") })
	embedded(t, natsserver.Options{StoreDir: dir, Port: port})
	eventually(t, "the reconnect in the log", func() bool { return strings.Contains(out.String(), "reconnected") })
	if !nc.IsConnected() {
		t.Error("not connected")
	}
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"nats://u:p@a:4222,tls://tok@b":   "nats://a:4222,tls://b",
		"a:4222":                          "nats://a:4222",
		"nats://u:p%zz@a:4222,nats://b:1": "(unreadable address),nats://b:1",
	} {
		if got := natsconn.Redact(in); got != want {
			t.Errorf("Redact(%q) = %q, want %q", in, got, want)
		}
	}
}
