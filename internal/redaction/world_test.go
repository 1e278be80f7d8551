//go:build unix

package redaction

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/internal/processtest"
)

// patience limits waits whose duration is not tested.
const patience = processtest.Patience

// broker is a NATS server that requires a password or a token.
func startBroker(t *testing.T, o server.Options) *server.Server {
	t.Helper()
	o.Host, o.Port, o.JetStream, o.StoreDir = "127.0.0.1", server.RANDOM_PORT, true, t.TempDir()
	o.NoLog, o.NoSigs = true, true
	srv, err := server.NewServer(&o)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	})
	if !srv.ReadyForConnections(processtest.Patience) {
		t.Fatal("the NATS server does not start")
	}
	return srv
}

func connect(t *testing.T, srv *server.Server) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(srv.ClientURL(), nats.Timeout(processtest.Patience), nats.UserInfo("shop", natsPassword))
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

// collector keeps the spans as bytes. Some of its first answers repeat the key.
type collector struct {
	*httptest.Server
	processtest.Output
	requests atomic.Int32
}

func startCollector(t *testing.T) *collector {
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(c, r.Body)
		switch c.requests.Add(1) {
		case 1:
			http.Error(w, r.Header.Get("Api-Key"), http.StatusForbidden)
		case 2:
			_, _ = io.WriteString(w, r.Header.Get("Api-Key"))
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func start(t *testing.T, env []string, args ...string) *processtest.Process {
	t.Helper()
	return processtest.Start(t, strings.Join(args, " "), env, program, args...)
}

// finish runs a command and returns its output.
func finish(t *testing.T, env []string, args ...string) []byte {
	t.Helper()
	_, out := processtest.Finish(t, patience, strings.Join(args, " "), env, program, args...)
	return []byte(out)
}

// address returns the address that the program logs with the message.
func address(p *processtest.Process, message string) string {
	return p.Finds(regexp.QuoteMeta(message)+`.*?(127\.0\.0\.1:\d+)`, patience)
}

// get returns status, headers and body of a page.
func get(t *testing.T, url string) []byte {
	t.Helper()
	return exchange(t, http.MethodGet, url, "", nil)
}

func exchange(t *testing.T, method, url, contentType string, body io.Reader) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := (&http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Appendf(nil, "%s %v\n%s", resp.Status, resp.Header, text)
}

// stored returns the messages of a stream: subjects, headers and data.
func stored(t *testing.T, js jetstream.JetStream, name string) []byte {
	t.Helper()
	stream, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	state := stream.CachedInfo().State
	for seq := state.FirstSeq; seq <= state.LastSeq && seq > 0; seq++ {
		m, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "%s %v %s\n", m.Subject, m.Header, m.Data)
	}
	return []byte(all.String())
}
