//go:build unix

package monitoring

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/internal/natsserver"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

const (
	user   = "016683"
	secret = "monitoring-secret-key-that-must-not-leak"
)

// sim is a process with the simulated gateway.
type sim struct {
	t         *testing.T
	url, base string
}

func startSim(t *testing.T, args ...string) *sim {
	t.Helper()
	p := processtest.Start(t, "gateway-sim", nil, program, append([]string{"gateway-sim", "--listen", "127.0.0.1:0",
		"--time-scale", "0.02", "--user", user, "--secret", secret, "--latency", "5ms"}, args...)...)
	url := p.Finds(`listening on (http://\S+)`, patience)
	return &sim{t: t, url: url, base: strings.TrimSuffix(url, "/Payments")}
}

// post sends a request to an admin path of the simulator.
func (s *sim) post(path, body string) {
	s.t.Helper()
	if code, text := request(s.t, http.MethodPost, s.base+path, body); code >= 300 {
		s.t.Fatalf("%s: %d %s", path, code, text)
	}
}

// request uses a new connection, so that none stays open.
func request(t *testing.T, method, url, body string) (code int, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(b)
}

// world is a broker and a worker. The admin address of the worker stays the same
// over restarts.
type world struct {
	t      *testing.T
	owner  *testing.T // for the lifetime of the broker
	name   string
	sim    *sim
	broker *natsserver.Server
	dir    string
	port   int
	js     jetstream.JetStream
	admin  string
	key    string // path of the key file
	worker *processtest.Process
}

func newWorld(t *testing.T, name string, s *sim) *world {
	t.Helper()
	w := &world{t: t, owner: t, name: name, sim: s, dir: t.TempDir(), port: processtest.FreePort(t), admin: fmt.Sprintf("127.0.0.1:%d", processtest.FreePort(t))}
	w.key = filepath.Join(t.TempDir(), "key")
	w.setKey(secret)
	w.startBroker()
	nc, err := nats.Connect(w.natsURL(), nats.Timeout(patience), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if w.js, err = jetstream.New(nc, jetstream.WithDefaultTimeout(patience/4)); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) natsURL() string { return fmt.Sprintf("nats://127.0.0.1:%d", w.port) }

func (w *world) startBroker() {
	w.t.Helper()
	var err error
	if w.broker, err = natsserver.Start(natsserver.Options{Host: "127.0.0.1", Port: w.port, StoreDir: w.dir}); err != nil {
		w.t.Fatal(err)
	}
	w.owner.Cleanup(w.broker.Shutdown)
}

func (w *world) setKey(key string) {
	w.t.Helper()
	if err := os.WriteFile(w.key+".new", []byte(key+"\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(w.key+".new", w.key); err != nil {
		w.t.Fatal(err)
	}
}

// env returns the settings of the worker, with short durations.
func (w *world) env(more ...string) []string {
	own := append(processtest.ScaledTimes(),
		"CAPTURE_NATS_URL="+w.natsURL(), "CAPTURE_GATEWAY_URL="+w.sim.url, "CAPTURE_GATEWAY_NOTIFY_URL=https://shop.example/notify", "CAPTURE_GATEWAY_USER="+user,
		"CAPTURE_GATEWAY_SECRET_KEY_FILE="+w.key, "CAPTURE_ADMIN_LISTEN="+w.admin, "CAPTURE_WORKER_NAME="+w.name,
		"CAPTURE_WORKER_SHUTDOWN_TIMEOUT=5s")
	return append(own, more...)
}

// run starts the worker and waits until it takes jobs.
func (w *world) run(more ...string) {
	w.t.Helper()
	w.worker = processtest.Start(w.t, "worker "+w.name, w.env(more...), program, "run")
	w.worker.Says(`msg="taking jobs"`, 1, patience)
}

// command runs the program to its end.
func (w *world) command(args ...string) {
	w.t.Helper()
	name := strings.Join(args, " ")
	code, out := processtest.Finish(w.t, patience, name, []string{"CAPTURE_NATS_URL=" + w.natsURL()}, program, args...)
	if code != 0 {
		w.t.Fatalf("%s: exit code %d: %s", name, code, out)
	}
}

type job struct {
	TradeID      string    `json:"trade_id"`
	Amount       string    `json:"amount"`
	Currency     string    `json:"currency"`
	OrderID      string    `json:"order_id"`
	AuthorizedAt time.Time `json:"authorized_at,omitzero"`
}

func plainJob(trade string) job {
	return job{TradeID: trade, Amount: "24.99", Currency: "EUR", OrderID: "order-" + trade}
}

func (w *world) send(subject string, j any) {
	w.t.Helper()
	body, err := json.Marshal(j)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.js.Publish(w.t.Context(), subject, bytes.TrimSpace(body)); err != nil {
		w.t.Fatalf("publishing: %v", err)
	}
}

const shipped = "capture.jobs.shipped"

// jobs authorizes n trades, prefix-0 and so on, and publishes a job for each.
func (w *world) jobs(subject, prefix string, n int) {
	w.t.Helper()
	var trades []job
	for i := range n {
		trades = append(trades, plainJob(fmt.Sprintf("%s-%d", prefix, i)))
	}
	w.authorize(trades)
	for _, j := range trades {
		w.send(subject, j)
	}
}

func (w *world) authorize(trades []job) {
	w.t.Helper()
	body, err := json.Marshal(trades)
	if err != nil {
		w.t.Fatal(err)
	}
	w.sim.post("/_sim/trades", string(body))
}

// within returns the world for a subtest.
func (w world) within(t *testing.T) *world {
	s := *w.sim
	w.t, s.t, w.sim = t, t, &s
	if w.worker != nil {
		w.worker = w.worker.For(t)
	}
	return &w
}

// captured returns the number of captured trades.
func (w *world) captured() int {
	w.t.Helper()
	stream, err := w.js.Stream(w.t.Context(), "CAPTURES")
	if err != nil {
		return 0
	}
	info, err := stream.Info(w.t.Context(), jetstream.WithSubjectFilter("captures.*.captured"))
	if err != nil {
		return 0
	}
	return len(info.State.Subjects)
}

func (w *world) waitCaptured(n int) {
	w.t.Helper()
	processtest.WaitFor(w.t, patience, fmt.Sprintf("%d captured trades", n), func() bool { return w.captured() >= n })
}

// ask requests a path of the admin listener.
func (w *world) ask(path string) (code int, text string) {
	w.t.Helper()
	return request(w.t, http.MethodGet, "http://"+w.admin+path, "")
}
