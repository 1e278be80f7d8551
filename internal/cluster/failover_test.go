//go:build unix

package cluster

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
	"github.com/capture-worker/capture-worker/internal/natsserver"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
)

// Jobs are published in waves. Each fault happens in the middle of a wave.
const (
	wave       = 40
	firstCalls = 10 // of a wave, before the fault
)

// startFailover starts a cluster, a gateway with the preset "rough", and workers.
func startFailover(t *testing.T, workers int) (*natsserver.Cluster, *world, []*processtest.Process) {
	t.Helper()
	c := startCluster(t)
	faults, err := gatewaytest.Preset("rough")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, c.URL(), gatewaytest.Options{Seed: 9, Faults: faults, Latency: 100 * time.Millisecond})
	var running []*processtest.Process
	for n := range workers {
		running = append(running, startWorker(t, fmt.Sprintf("w%d", n+1),
			append(w.env, "CAPTURE_NATS_REPLICAS=3", "CAPTURE_WORKER_CONCURRENCY=4")...))
	}
	return c, w, running
}

// during publishes waves until the workers are in the middle of one, and then
// calls happen. A wave may be done too soon to be met, and while a leader is
// elected it is not known how much of it is left.
func (w *world) during(what string, happen func()) {
	w.t.Helper()
	processtest.WaitFor(w.t, patience, what+": jobs under way", func() bool {
		before := w.calls()
		w.place(fmt.Sprintf("n%d", len(w.jobs)), wave)
		processtest.WaitFor(w.t, patience, "the workers to be busy", func() bool { return w.calls() >= before+firstCalls })
		n, ok := w.left()
		return ok && n > 0
	})
	happen()
}

// finish waits until all jobs are done, stops the workers and runs the audit.
func finish(w *world, running []*processtest.Process) {
	w.t.Helper()
	w.waitDone(patience)
	for _, p := range running {
		p.Stop(patience)
	}
	report := w.audited()
	// A job above its authorization, refused after a call whose answer was lost, is
	// parked: our own capture may have lowered the sum (rule 5).
	inDoubt := report.ParkedByReason[capture.ReasonRefusalContradicted]
	if want := len(w.jobs) - report.Failed - report.Parked; report.Captured != want || report.Parked > inDoubt {
		w.t.Errorf("captured %d of %d, parked %v", report.Captured, len(w.jobs), report.ParkedByReason)
	}
}

// The leaders of the ledger, of the jobs and of their consumer step down, twice
// each, while three workers are busy: no capture is lost or doubled.
func TestLeadersStepDownUnderLoad(t *testing.T) {
	t.Parallel()
	_, w, running := startFailover(t, 3)
	for range 2 {
		for _, what := range []string{
			"STREAM.LEADER.STEPDOWN." + ledger.DefaultStream,
			"STREAM.LEADER.STEPDOWN." + jobsStream,
			"CONSUMER.LEADER.STEPDOWN." + jobsStream + "." + consumerName,
		} {
			w.during(what, func() { w.stepDown(what) })
		}
	}
	finish(w, running)
}

// stepDown repeats the request until a leader steps down.
func (w *world) stepDown(what string) {
	w.t.Helper()
	processtest.WaitFor(w.t, patience, what, func() bool {
		answer, err := w.js.Conn().Request("$JS.API."+what, nil, 2*time.Second)
		if err != nil {
			return false
		}
		var reply struct {
			Error any `json:"error"`
		}
		return json.Unmarshal(answer.Data, &reply) == nil && reply.Error == nil
	})
}

// The server that leads the ledger is stopped and restarted, then the one that
// leads the consumer of the jobs. Captures continue meanwhile.
func TestServersGoAndComeBackUnderLoad(t *testing.T) {
	t.Parallel()
	c, w, running := startFailover(t, 2)
	for _, leader := range []func() string{w.leaderOfLedger, w.leaderOfConsumer} {
		lost := -1
		w.during("a server goes", func() {
			lost = indexOf(t, c, leader())
			c.Servers[lost].Shutdown()
		})
		before := w.sim.Stats().Effects
		w.during("a server comes back", func() {
			processtest.WaitFor(t, patience, "captures with two servers", func() bool { return w.sim.Stats().Effects >= before+firstCalls })
			if err := c.Restart(lost); err != nil {
				t.Fatal(err)
			}
		})
		w.waitCurrent()
	}
	finish(w, running)
}

// A worker starts while too few servers run to elect a leader, and the streams do
// not exist yet.
func TestAWorkerThatStartsTooEarlyWaitsForALeader(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	w := newWorld(t, c.URL(), gatewaytest.Options{Seed: 3})
	c.Servers[0].Shutdown()
	c.Servers[1].Shutdown()
	p := launchWorker(t, "early", append(w.env, "CAPTURE_NATS_REPLICAS=3")...)
	p.Says("JetStream not ready", 1, patience)
	if err := c.Restart(0, 1); err != nil {
		t.Fatal(err)
	}
	p.Says(`msg="taking jobs"`, 1, patience)
	w.place("n", wave)
	finish(w, []*processtest.Process{p})
}

func (w *world) leaderOfLedger() string { return w.info(ledger.DefaultStream).Cluster.Leader }

func (w *world) leaderOfConsumer() string {
	w.t.Helper()
	var leader string
	processtest.WaitFor(w.t, patience, "a leader of "+consumerName, func() bool {
		consumer, err := w.js.Consumer(w.t.Context(), jobsStream, consumerName)
		if err == nil && consumer.CachedInfo().Cluster != nil {
			leader = consumer.CachedInfo().Cluster.Leader
		}
		return leader != ""
	})
	return leader
}

func (w *world) info(stream string) *jetstream.StreamInfo {
	w.t.Helper()
	var info *jetstream.StreamInfo
	processtest.WaitFor(w.t, patience, "a leader of "+stream, func() bool {
		s, err := w.js.Stream(w.t.Context(), stream)
		if err != nil || s.CachedInfo().Cluster == nil || s.CachedInfo().Cluster.Leader == "" {
			return false
		}
		info = s.CachedInfo()
		return true
	})
	return info
}

// waitCurrent waits until a restarted server has caught up: without it and the next
// one there would be no majority.
func (w *world) waitCurrent() {
	w.t.Helper()
	for _, stream := range []string{ledger.DefaultStream, jobsStream} {
		processtest.WaitFor(w.t, patience, "the replicas of "+stream+" to be current", func() bool {
			current := 0
			for _, peer := range w.info(stream).Cluster.Replicas {
				if peer.Current && !peer.Offline {
					current++
				}
			}
			return current == 2
		})
	}
}

func indexOf(t *testing.T, c *natsserver.Cluster, name string) int {
	t.Helper()
	for i, s := range c.Servers {
		if s.Name() == name {
			return i
		}
	}
	t.Fatalf("no server with the name %q", name)
	return -1
}
