//go:build unix

package cluster

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/audit"
	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
	"github.com/capture-worker/capture-worker/internal/natsserver"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
)

const (
	simUser   = "016683"
	simSecret = "cluster-secret-key"

	jobsStream   = "CAPTURE_JOBS"
	consumerName = "capture-worker"
	jobsSubject  = "capture.jobs.shipped"
)

// world is a broker, a simulated gateway and a NATS client.
type world struct {
	t      *testing.T
	url    string
	js     jetstream.JetStream
	ledger *ledger.JetStream
	sim    *gatewaytest.Simulator
	env    []string // of the workers
	jobs   map[string]*capture.Job
}

// newWorld connects to a broker and starts a simulated gateway.
func newWorld(t *testing.T, url string, o gatewaytest.Options) *world {
	t.Helper()
	o.User, o.Secret = simUser, simSecret
	o.Timing = gatewaytest.DefaultTiming().Scaled(processtest.SimScale)
	w := &world{t: t, url: url, sim: gatewaytest.New(o), jobs: map[string]*capture.Job{}}
	t.Cleanup(w.sim.Close)
	server := httptest.NewServer(w.sim)
	t.Cleanup(server.Close)
	nc, err := nats.Connect(url, nats.Timeout(patience/4), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if w.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	w.ledger = ledger.NewJetStream(w.js, ledger.Options{Bound: patience})
	w.env = append([]string{
		"CAPTURE_NATS_URL=" + url, "CAPTURE_GATEWAY_URL=" + server.URL + gatewaytest.PaymentsPath,
		"CAPTURE_GATEWAY_NOTIFY_URL=https://shop.example/notify", "CAPTURE_GATEWAY_USER=" + simUser, "CAPTURE_GATEWAY_SECRET_KEY=" + simSecret,
	}, processtest.ScaledTimes()...)
	return w
}

func startCluster(t *testing.T) *natsserver.Cluster {
	t.Helper()
	c, err := natsserver.StartCluster(3, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Shutdown)
	return c
}

// place authorizes n trades and publishes their jobs. Every tenth job is published
// twice, every twentieth has an amount that is too high.
func (w *world) place(prefix string, n int) {
	w.t.Helper()
	for i := range n {
		trade := fmt.Sprintf("%s-%04d", prefix, i)
		amount := money(w.t, fmt.Sprintf("%d.%02d", 5+i%90, i%100))
		if err := w.sim.AddTrades(gatewaytest.Trade{TradeID: trade, Amount: amount}); err != nil {
			w.t.Fatal(err)
		}
		if i%20 == 7 {
			amount = money(w.t, "999.00")
		}
		job := capture.Job{TradeID: trade, Amount: amount, OrderID: "A-" + trade, AuthorizedAt: time.Now().UTC().Truncate(time.Second)}
		w.jobs[trade] = &job
		w.publish(job, trade)
		if i%10 == 3 {
			w.publish(job, trade+"-again")
		}
	}
}

// placePlain authorizes n trades and publishes a valid job for each, without
// waiting for each confirmation.
func (w *world) placePlain(prefix string, n int) {
	w.t.Helper()
	for i := range n {
		trade := fmt.Sprintf("%s-%05d", prefix, i)
		job := capture.Job{TradeID: trade, Amount: money(w.t, fmt.Sprintf("%d.%02d", 5+i%90, i%100)), AuthorizedAt: time.Now().UTC().Truncate(time.Second)}
		w.jobs[trade] = &job
		if err := w.sim.AddTrades(gatewaytest.Trade{TradeID: trade, Amount: job.Amount}); err != nil {
			w.t.Fatal(err)
		}
		body, err := json.Marshal(job)
		if err != nil {
			w.t.Fatal(err)
		}
		if _, err := w.js.PublishAsync(jobsSubject, body, jetstream.WithStallWait(patience)); err != nil {
			w.t.Fatal(err)
		}
	}
	select {
	case <-w.js.PublishAsyncComplete():
	case <-time.After(patience):
		w.t.Fatal("the jobs were not stored")
	}
}

// publish repeats until the job is stored. The message id prevents duplicates.
func (w *world) publish(job capture.Job, id string) {
	w.t.Helper()
	body, err := json.Marshal(job)
	if err != nil {
		w.t.Fatal(err)
	}
	processtest.WaitFor(w.t, patience, "a job to be stored", func() bool {
		_, err := w.js.Publish(w.t.Context(), jobsSubject, body, jetstream.WithMsgID(id))
		return err == nil
	})
}

func money(t *testing.T, number string) capture.Amount {
	t.Helper()
	a, err := capture.ParseAmount(number, "EUR")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (w *world) calls() int {
	stats := w.sim.Stats()
	return int(stats.Captures + stats.Queries)
}

// left returns the number of jobs that are not acknowledged; ok is false if the
// consumer could not be read.
func (w *world) left() (n int, ok bool) {
	consumer, err := w.js.Consumer(w.t.Context(), jobsStream, consumerName)
	if err != nil {
		return 0, false
	}
	info := consumer.CachedInfo()
	return int(info.NumPending) + info.NumAckPending, true
}

func (w *world) waitDone(within time.Duration) {
	w.t.Helper()
	processtest.WaitFor(w.t, within, "all jobs to be done", func() bool {
		n, ok := w.left()
		return ok && n == 0
	})
}

// audited checks the ledger of every trade against the rules, its job and the
// effects at the gateway, and that the ledger has no other trades.
func (w *world) audited() audit.Report {
	w.t.Helper()
	collector := audit.NewCollector(processtest.Policy, 20)
	for id, job := range w.jobs {
		loaded, err := w.ledger.LoadLatest(w.t.Context(), id)
		if err != nil {
			w.t.Fatal(err)
		}
		truth := w.truth(id)
		collector.Add(id, loaded.Events, &truth, job)
	}
	report := collector.Report()
	if !report.Clean() || report.Unsettled > 0 || report.Trades != len(w.jobs) {
		var table strings.Builder
		_ = report.WriteTable(&table) // a Builder takes everything
		w.t.Errorf("the audit of %d trades has findings:\n%s", len(w.jobs), table.String())
	}
	for id, err := range w.ledger.Trades(w.t.Context(), ledger.Filter{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		if w.jobs[id] == nil {
			w.t.Errorf("the ledger has trade %s without a job", id)
		}
	}
	return report
}

func (w *world) truth(id string) audit.Truth {
	found, _ := w.sim.Truth(id)
	truth := audit.Truth{TradeID: id, State: found.Now}
	for _, effect := range found.Captures {
		truth.Captures = append(truth.Captures, audit.Capture{Amount: effect.Amount, RequestID: effect.RequestID, At: effect.At})
	}
	return truth
}
