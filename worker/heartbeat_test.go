package worker_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/worker"
)

const (
	aPull = "CONSUMER.MSG.NEXT" // is in every pull request
	// longAckWait is longer than the test waits: a job that is lost stays lost.
	longAckWait = time.Hour
)

// pullBehindProxy makes the workers of the shop pull through a proxy.
func (s *shop) pullBehindProxy() *processtest.Proxy {
	s.t.Helper()
	p := processtest.StartProxy(s.t, s.js.Conn().ConnectedUrl())
	nc, err := nats.Connect(p.URL, nats.Timeout(processtest.Patience))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	if s.pulls, err = jetstream.New(nc, jetstream.WithDefaultTimeout(processtest.Patience)); err != nil {
		s.t.Fatal(err)
	}
	return p
}

// mustBeCapturedAtOnce checks that every job was done at its first delivery: a
// job that is delivered again is asked about first.
func (s *shop) mustBeCapturedAtOnce(ids []string) {
	s.t.Helper()
	for _, id := range ids {
		if truth, _ := s.sim.Truth(id); len(truth.Captures) != 1 || truth.CallsTotal != 1 || s.phase(id) != capture.PhaseCaptured {
			s.t.Errorf("trade %s: %d captures in %d calls, ledger says %s; want one call", id, len(truth.Captures), truth.CallsTotal, s.phase(id))
		}
	}
}

// Pulls that the broker loses, as in a change of leaders: each next one follows
// within two seconds of the missed heartbeat, which is missed after two of them.
func TestLostPullIsRepeated(t *testing.T) {
	processtest.Long(t)
	t.Parallel()
	s := newShop(t, gatewaytest.Options{})
	s.streams.AckWait = longAckWait
	p := s.pullBehindProxy()
	w := s.worker(nil)
	var mu sync.Mutex
	var pulls []time.Time
	p.Lose(func(sent string) processtest.Action {
		mu.Lock()
		defer mu.Unlock()
		if !strings.Contains(sent, aPull) || len(pulls) == 4 {
			return processtest.Pass
		}
		if pulls = append(pulls, time.Now()); len(pulls) == 4 {
			return processtest.Pass
		}
		return processtest.Drop
	}, nil)
	s.authorize(trades(40)...)
	stop := s.start(w)
	s.until("all jobs done", s.drained)
	stop()
	s.mustBeCapturedAtOnce(trades(40))
	mu.Lock()
	defer mu.Unlock()
	shortest := pulls[1].Sub(pulls[0])
	for i := 2; i < len(pulls); i++ { // a busy machine delays some
		shortest = min(shortest, pulls[i].Sub(pulls[i-1]))
	}
	if limit := 2*worker.PullBeat + 2*time.Second; shortest > limit {
		t.Errorf("the next pull came %s after the lost one, want at most %s", shortest, limit)
	}
}

// The broker's replies are held back for longer than heartbeats may be missing.
// The jobs that had been delivered are processed once they arrive: none waits for
// its ack wait, none is delivered twice.
func TestBrokerDelayedBeyondHeartbeats(t *testing.T) {
	processtest.Long(t)
	t.Parallel()
	s := newShop(t, gatewaytest.Options{})
	s.streams.AckWait = longAckWait
	p := s.pullBehindProxy()
	w := s.worker(nil)
	held, missed := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	t.Cleanup(release)
	seen := sync.OnceFunc(func() { close(missed) })
	p.Lose(func(sent string) processtest.Action {
		// The worker gives up a pull: it has missed the heartbeats.
		if strings.Contains(sent, "UNSUB ") {
			seen()
		}
		return processtest.Pass
	}, func(string) processtest.Action {
		<-held
		return processtest.Pass
	})
	s.authorize(trades(40)...)
	stop := s.start(w)
	<-missed
	release()
	s.until("all jobs done", s.drained)
	stop()
	s.mustBeCapturedAtOnce(trades(40))
}
