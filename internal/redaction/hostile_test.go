//go:build unix

package redaction

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

const traceID = "0af7651916cd43dd8448eb211c80319c"

// A worker uses a broker with a password and a gateway that repeats our key and
// signatures, gets genuine and forged notifications, is paused, gets another key, and is
// killed. None of its outputs may contain a secret.
func TestHostileWorld(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"json", "text"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, format)
			w.jobs()
			w.notifications()
			w.rotation()
			pages := w.pages()
			commands := w.commands()
			w.worker.Signal(syscall.SIGTERM)
			w.worker.Exit(patience)
			broken := w.brokenOff()
			signs := append(w.gateway.signatures(), w.signs...)
			if len(signs) < 2*len(kinds()) || w.gateway.misses > 0 {
				t.Errorf("%d signatures, %d calls without one or with a trace", len(signs), w.gateway.misses)
			}
			for what, output := range map[string][]byte{
				"the log": []byte(w.worker.Out.String()), "the ledger": stored(t, w.js, "CAPTURES"),
				"the dead letters": stored(t, w.js, "CAPTURE_DLQ"), "the spans": []byte(w.collector.String()),
				"the pages": pages, "the commands": commands, "the end by SIGQUIT": broken, "the listener's answers": w.answers,
			} {
				if len(output) == 0 {
					t.Errorf("there is nothing of %s to look at", what)
				}
				wantClean(t, what, output, signs)
			}
			w.sawItAll()
		})
	}
}

type world struct {
	t         *testing.T
	gateway   *echoer
	collector *collector
	js        jetstream.JetStream
	keyFile   string
	env       []string
	worker    *processtest.Process
	answers   []byte   // of the notification listener
	signs     []string // of notifications
}

func newWorld(t *testing.T, format string) *world {
	w := &world{t: t, gateway: startEchoer(t), collector: startCollector(t)}
	broker := startBroker(t, server.Options{Username: "shop", Password: natsPassword})
	w.js = connect(t, broker)
	w.keyFile = filepath.Join(t.TempDir(), "key")
	w.writeKey(gatewayKey)
	w.env = []string{
		"CAPTURE_NATS_URL=" + broker.ClientURL(), "CAPTURE_NATS_USER=shop", "CAPTURE_NATS_PASSWORD=" + natsPassword,
		"CAPTURE_GATEWAY_URL=" + w.gateway.URL + "/Payments", "CAPTURE_GATEWAY_USER=016683", "CAPTURE_GATEWAY_NOTIFY_URL=https://shop.example/notify",
		"CAPTURE_GATEWAY_SECRET_KEY_FILE=" + w.keyFile, "CAPTURE_GATEWAY_PREVIOUS_SECRET_KEY=" + previousKey,
		"CAPTURE_GATEWAY_TIMEOUT=1s", "CAPTURE_RECONCILE_SETTLE=1500ms", "CAPTURE_RECONCILE_SPACING=200ms",
		"CAPTURE_WORKER_BACKOFF_INITIAL=50ms", "CAPTURE_WORKER_BACKOFF_MAX=500ms", "CAPTURE_WORKER_RETRY_INITIAL=200ms",
		"CAPTURE_WORKER_RETRY_MAX=1s", "CAPTURE_WORKER_PROBE_INTERVAL=100ms", "CAPTURE_NATS_ACK_WAIT=3s",
		"CAPTURE_ADMIN_LISTEN=127.0.0.1:0", "CAPTURE_ADMIN_PPROF=true", "CAPTURE_NOTIFY_LISTEN=127.0.0.1:0",
		"CAPTURE_TRACING_ENDPOINT=" + w.collector.URL, "OTEL_EXPORTER_OTLP_HEADERS=api-key=" + collectorKey,
		"OTEL_BSP_SCHEDULE_DELAY=100", "CAPTURE_LOG_LEVEL=debug", "CAPTURE_LOG_FORMAT=" + format,
	}
	w.worker = start(t, w.env, "run")
	w.worker.Says("taking jobs", 1, patience)
	return w
}

func (w *world) writeKey(key string) {
	w.t.Helper()
	if err := os.WriteFile(w.keyFile, []byte(key+"\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) publish(body string) {
	w.t.Helper()
	m := nats.NewMsg("capture.jobs.shipped")
	m.Header["Traceparent"] = []string{"00-" + traceID + "-b7ad6b7169203331-01"}
	m.Data = []byte(body)
	if _, err := w.js.PublishMsg(w.t.Context(), m); err != nil {
		w.t.Fatal(err)
	}
}

func job(trade, amount string) string {
	return fmt.Sprintf(`{"trade_id":%q,"amount":%q,"currency":"EUR","order_id":"A-1","capture_before":"2099-01-01T00:00:00Z"}`, trade, amount)
}

// jobs publishes jobs of every kind, including malformed ones.
func (w *world) jobs() {
	for _, kind := range kinds() {
		w.publish(job(kind+"-1", "24.99"))
	}
	w.publish(`{"trade_id":"bad","amount":"1e3","currency":"EUR"}`)
	w.publish(`not JSON`)
	w.done()
	w.publish(job("good-1", "1.00")) // a conflict
	w.done()
}

// done waits until all jobs are acked.
func (w *world) done() {
	w.t.Helper()
	processtest.WaitFor(w.t, patience, "all jobs to be done", func() bool {
		c, err := w.js.Consumer(w.t.Context(), "CAPTURE_JOBS", "capture-worker")
		if err != nil {
			return false
		}
		info := c.CachedInfo()
		return info.NumPending == 0 && info.NumAckPending == 0
	})
}

// notifications sends genuine ones, signed with either key, forged and malformed ones.
func (w *world) notifications() {
	where := "http://" + address(w.worker, "listening for notifications") + "/notify"
	post := func(body string) {
		w.answers = append(w.answers, exchange(w.t, "POST", where, "application/json", strings.NewReader(body))...)
	}
	ours := w.gateway.signatures()[0]
	for _, trade := range []string{"refused-1", "good-1", "unknown-1"} {
		for _, key := range []string{gatewayKey, previousKey, "forger"} {
			for _, state := range []string{"verify", ours} {
				sign, object := notification(key, trade, state, ours)
				w.signs = append(w.signs, sign)
				post(`{"sign":"` + sign + `","data":` + object + `}`)
				post(sign + "." + object)
				post("resultData=" + url.QueryEscape(`{"sign":"`+sign+`","data":`+object+`}`))
				post(`{"sign":"` + sign + `","data":"` + sign + `"}`)
				post(sign + ".{" + sign)
				post("resultData=%zz" + sign)
			}
		}
	}
	w.done()
}

// notification returns one that is signed with the key and repeats a signature of ours.
func notification(key, trade, state, ours string) (sign, object string) {
	data := map[string]string{
		"type": "payment", "user": "016683", "trade_id": trade, "order_id": "o-" + ours, "transaction_id": key[:3] + ours,
		"amount": "24.99", "currency": "EUR", "state": state,
	}
	var members []string
	for name, value := range data {
		members = append(members, fmt.Sprintf("%q:%q", name, value))
	}
	return gateway.Sign(gateway.Secret(key), data), "{" + strings.Join(members, ",") + "}"
}

// rotation makes the gateway refuse our key until it is replaced.
func (w *world) rotation() {
	w.gateway.set(func() { w.gateway.halt = true })
	w.publish(job("good-2", "24.99"))
	w.worker.Says("refuses our signature", 1, patience)
	w.worker.Says("still unavailable", 1, patience)
	w.answers = append(w.answers, get(w.t, "http://"+address(w.worker, "serving metrics and health")+"/readyz")...)
	w.writeKey(rotatedKey)
	w.worker.Says("reloaded gateway secret key", 1, patience)
	w.gateway.set(func() { w.gateway.halt, w.gateway.key = false, rotatedKey })
	w.done()
}

func (w *world) pages() []byte {
	var all []byte
	for _, page := range []string{
		"/metrics", "/livez", "/readyz", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2",
		"/debug/pprof/allocs?debug=1", "/" + url.PathEscape(gatewayKey),
	} {
		all = append(all, get(w.t, "http://"+address(w.worker, "serving metrics and health")+page)...)
	}
	return all
}

func (w *world) commands() []byte {
	var all []byte
	for _, args := range [][]string{
		{"config"}, {"check"}, {"show", "good-1"}, {"show", "state-1"}, {"parked", "list"}, {"parked", "show", "trade-1"},
		{"dlq", "list"}, {"dlq", "show", "1"}, {"lane", "list"}, {"reconcile"}, {"version"},
	} {
		out := finish(w.t, w.env, args...)
		all = append(all, out...)
	}
	return all
}

// brokenOff kills a worker during its calls, with a dump of all goroutines.
func (w *world) brokenOff() []byte {
	p := start(w.t, w.env, "run")
	p.Says("taking jobs", 1, patience)
	for i := range 20 {
		w.publish(job(fmt.Sprintf("internal-q%d", i), "24.99"))
	}
	p.Says("internal-q", 1, patience)
	p.Signal(syscall.SIGQUIT)
	p.Exit(patience)
	out := []byte(p.Out.String())
	if !bytes.Contains(out, []byte("goroutine ")) {
		w.t.Error("SIGQUIT brought no stacks")
	}
	return out
}

// sawItAll checks that the outputs have the expected content, so that the search for
// secrets covers it.
func (w *world) sawItAll() {
	w.t.Helper()
	for _, kind := range kinds() {
		if !bytes.Contains(stored(w.t, w.js, "CAPTURES"), []byte("captures."+kind+"-1.")) {
			w.t.Errorf("the ledger holds nothing of the trade %s-1", kind)
		}
	}
	log := []byte(w.worker.Out.String())
	for _, text := range []string{traceID, "[hidden]", "job dead-lettered", "notification refused", "failed", "collector"} {
		if !bytes.Contains(log, []byte(text)) {
			w.t.Errorf("the log says nothing of %s", text)
		}
	}
	for _, text := range []string{"POST v3.Capture", "POST v3.QueryOrder", "POST /notify", "publish captures.{trade_id}.captured", "process CAPTURE_JOBS"} {
		if !bytes.Contains([]byte(w.collector.String()), []byte(text)) {
			w.t.Errorf("there is no span %s", text)
		}
	}
	outcome := regexp.MustCompile(`captures\.good-1\.captured map.*traceparent:\[00-` + traceID + `-[0-9a-f]{16}-01\]`)
	if !outcome.Match(stored(w.t, w.js, "CAPTURES")) {
		w.t.Error("the outcome does not continue the publisher's trace")
	}
	if !bytes.Contains(stored(w.t, w.js, "CAPTURE_DLQ"), []byte("Traceparent:[00-"+traceID+"-b7ad6b7169203331-01]")) {
		w.t.Error("a dead letter has lost the job's trace")
	}
	for _, reason := range []string{"capture.dlq.bad_amount", "capture.dlq.not_json", "capture.dlq.conflict"} {
		if !bytes.Contains(stored(w.t, w.js, "CAPTURE_DLQ"), []byte(reason)) {
			w.t.Errorf("there is no dead letter %s", reason)
		}
	}
}
