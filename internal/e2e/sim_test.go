//go:build unix

package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

const (
	simUser   = "016683"
	simSecret = "e2e-secret-key-that-must-not-be-seen"
)

// sim is the simulated gateway as a process of its own.
type sim struct {
	t       *testing.T
	url     string // of the gateway's endpoint
	base    string
	client  *http.Client
	process *processtest.Process
}

// startSim starts the simulator; its times are scaled as those of the workers.
func startSim(t *testing.T, args ...string) *sim {
	t.Helper()
	all := append([]string{"gateway-sim", "--listen", "127.0.0.1:0", "--time-scale", "0.02",
		"--user", simUser, "--secret", simSecret}, args...)
	p := processtest.Start(t, "gateway-sim", nil, workerProgram, all...)
	url := p.Finds(`^listening on (http://.*)\n`, patience) // its first line
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &sim{
		t: t, url: url, base: strings.TrimSuffix(url, gatewaytest.PaymentsPath), process: p,
		client: &http.Client{Transport: transport, Timeout: patience},
	}
}

// ask calls the admin path. A nil body is a GET.
func (s *sim) ask(path string, body, into any) {
	s.t.Helper()
	method, content := http.MethodGet, []byte(nil)
	if body != nil {
		method = http.MethodPost
		var err error
		if content, err = json.Marshal(body); err != nil {
			s.t.Fatal(err)
		}
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.base+path, bytes.NewReader(content))
	if err != nil {
		s.t.Fatal(err)
	}
	answer, err := s.client.Do(r)
	if err != nil {
		s.t.Fatalf("asking the simulator: %v", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		s.t.Fatalf("%s %s: %s", method, path, answer.Status)
	}
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
}

func (s *sim) authorize(trades ...gatewaytest.Trade) {
	s.t.Helper()
	s.ask("/_sim/trades", trades, &struct{}{})
}

// down begins an outage, or ends it with "".
func (s *sim) down(how gatewaytest.Down) {
	s.t.Helper()
	s.ask("/_sim/faults", map[string]any{"down": how}, &struct{}{})
}

func (s *sim) stats() gatewaytest.Stats {
	s.t.Helper()
	var stats gatewaytest.Stats
	s.ask("/_sim/stats", nil, &stats)
	return stats
}

// calls counts every call that reached the gateway.
func (s *sim) calls() int {
	s.t.Helper()
	stats := s.stats()
	return int(stats.Captures + stats.Queries + stats.Others)
}

// met counts every call that came, those that an outage took included.
func (s *sim) met() int {
	s.t.Helper()
	return s.calls() + int(s.stats().Down)
}

// waitCalls waits for that many more calls than there were.
func (s *sim) waitCalls(more, than int) {
	s.t.Helper()
	processtest.WaitFor(s.t, patience, "calls to reach the gateway", func() bool { return s.calls() >= than+more })
}

// truths reads what really became of every trade.
func (s *sim) truths() map[string]gatewaytest.Truth {
	s.t.Helper()
	var list []gatewaytest.Truth
	s.ask("/_sim/trades", nil, &list)
	truths := make(map[string]gatewaytest.Truth, len(list))
	for _, truth := range list {
		truths[truth.TradeID] = truth
	}
	return truths
}
