//go:build unix

package redaction

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// patience bounds waits whose length is not what a test is about.
const patience = 45 * time.Second

// output keeps what is written to it.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) Bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(o.buf.Bytes())
}

// broker is a NATS server that asks for a password, or for a token.
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
	if !srv.ReadyForConnections(patience) {
		t.Fatal("the NATS server does not start")
	}
	return srv
}

func connect(t *testing.T, srv *server.Server) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(srv.ClientURL(), nats.UserInfo("shop", natsPassword))
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

// collector keeps the spans as bytes. Of its first answers some repeat the key.
type collector struct {
	*httptest.Server
	output
	requests int
}

func startCollector(t *testing.T) *collector {
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(c, r.Body)
		c.mu.Lock()
		c.requests++
		n := c.requests
		c.mu.Unlock()
		switch n {
		case 1:
			http.Error(w, r.Header.Get("Api-Key"), http.StatusForbidden)
		case 2:
			_, _ = io.WriteString(w, r.Header.Get("Api-Key"))
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// process is the program running.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	out   *output
	ended chan struct{}
}

func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(program, args...), out: &output{}, ended: make(chan struct{})}
	p.cmd.Dir = t.TempDir()
	p.cmd.Env = append([]string{"HOME=" + p.cmd.Dir}, env...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // the exit code is read from ProcessState
	}()
	t.Cleanup(func() {
		p.end(syscall.SIGKILL)
		if t.Failed() {
			out := p.out.Bytes()
			t.Logf("the end of what %v wrote:\n%s", args, out[max(0, len(out)-3000):])
		}
	})
	return p
}

// end sends a signal and waits for the process to be gone.
func (p *process) end(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("signal %s: %v", s, err)
	}
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("the program does not end after %s", s)
	}
}

// finish runs a command to its end and returns all that it wrote.
func finish(t *testing.T, env []string, args ...string) []byte {
	t.Helper()
	p := start(t, env, args...)
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatalf("%v does not end", args)
	}
	return p.out.Bytes()
}

func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (p *process) says(text string) {
	p.t.Helper()
	waitFor(p.t, "the program to write: "+text, func() bool { return bytes.Contains(p.out.Bytes(), []byte(text)) })
}

// address is the one that the program logs with the message.
func (p *process) address(message string) string {
	p.t.Helper()
	p.says(message)
	line := regexp.MustCompile(regexp.QuoteMeta(message) + `.*?(127\.0\.0\.1:\d+)`)
	found := line.FindSubmatch(p.out.Bytes())
	if found == nil {
		p.t.Fatalf("no address beside %q", message)
	}
	return string(found[1])
}

// get returns status, headers and body of a page as they are.
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

// stored returns all that a stream holds: subjects, headers and bytes.
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
