package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/capture-worker/capture-worker/bench/internal/stats"
)

// The account that the simulator believes.
const (
	User   = "016683"
	Secret = "example-secret-key"
)

// gatewayGC has the simulator's collector run less often: it shares the machine
// with what is measured, and its memory is not measured.
const gatewayGC = "400"

// Gateway is a `capture-worker gateway-sim` process.
type Gateway struct {
	*Process
	URL  string // of the endpoint
	base string
	http *http.Client
}

// Counts are the simulator's own counters.
type Counts struct {
	At       time.Time `json:"at"`
	Captures int64     `json:"captures"` // calls
	Queries  int64     `json:"queries"`  // calls
	Others   int64     `json:"others"`   // calls that failed before anything else
	Down     int64     `json:"down"`     // calls that met an outage
	Faults   int64     `json:"faults"`   // calls that met a fault
	Effects  int64     `json:"effects"`  // captures that took effect
}

// StartGateway starts a simulator on a free port.
func StartGateway(ctx context.Context, program, dir string, args ...string) (*Gateway, error) {
	p, err := Start(Command{Name: "gateway-sim", Path: program, Dir: dir, Env: []string{"GOGC=" + gatewayGC}, Args: append([]string{
		"gateway-sim", "--forget-calls", "--listen", "127.0.0.1:0", "--auto-create", "--allow-empty-notify-url", "--latency", "0s", "--user", User, "--secret", Secret}, args...)})
	if err != nil {
		return nil, err
	}
	g := &Gateway{Process: p, http: &http.Client{Timeout: startBound}}
	err = Until(ctx, startBound, "the simulator's address", func() (bool, error) {
		text, _ := os.ReadFile(p.Output)
		_, rest, found := strings.Cut(string(text), "listening on ")
		g.URL, _, _ = strings.Cut(rest, "\n")
		return found, p.Alive()
	})
	if err != nil {
		p.Stop()
		return nil, err
	}
	g.base = strings.TrimSuffix(g.URL, "/Payments")
	return g, nil
}

// Reset forgets all trades and counts.
func (g *Gateway) Reset(ctx context.Context) error {
	return g.do(ctx, http.MethodPost, "/_sim/reset", "", nil)
}

// Set changes latency, faults or an outage.
func (g *Gateway) Set(ctx context.Context, knobs map[string]any) error {
	body, err := json.Marshal(knobs)
	if err != nil {
		return err
	}
	return g.do(ctx, http.MethodPost, "/_sim/faults", string(body), nil)
}

// Counts asks for the counts.
func (g *Gateway) Counts(ctx context.Context) (c Counts, err error) {
	return c, g.do(ctx, http.MethodGet, "/_sim/stats", "", &c)
}

// Point is the captures that took effect, at their moment.
func (c Counts) Point() stats.Point { return stats.Point{At: c.At, Count: c.Effects} }

func (g *Gateway) do(ctx context.Context, method, path, body string, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, g.base+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := g.http.Do(req)
	if err != nil {
		return fmt.Errorf("asking the simulator: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("asking the simulator: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("asking the simulator for %s: HTTP %d %s", path, resp.StatusCode, text)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}
