package gatewaytest_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
)

func TestLatencyCanBeChanged(t *testing.T) {
	b := start(t, nil)
	const latency = 60 * time.Millisecond
	b.admin("POST", "/_sim/faults", `{"latency":"60ms"}`, 200)
	begin := time.Now()
	wantCode(t, "query", b.query("T1"), "200")
	if took := time.Since(begin); took < latency {
		t.Errorf("answered after %s, want at least %s", took, latency)
	}
	if err := b.sim.SetLatency(0); err != nil {
		t.Fatal(err)
	}
	if err := b.sim.SetLatency(-1); err == nil {
		t.Error("a negative latency was taken")
	}
}

func TestResetForgetsTradesAndKeepsKnobs(t *testing.T) {
	b := start(t, func(o *gatewaytest.Options) { o.AutoCreate = true })
	b.admin("POST", "/_sim/faults", `{"query_error":1}`, 200)
	wantCode(t, "capture", b.capture(captureData("T1")), "200")
	wantCode(t, "second capture", b.capture(captureData("T1", "request_id", requestID(2))), "-4024")
	b.admin("POST", "/_sim/reset", "", 200)
	if stats := b.sim.Stats(); stats != (gatewaytest.Stats{}) {
		t.Errorf("stats after a reset: %+v", stats)
	}
	if _, ok := b.sim.Truth("T1"); ok {
		t.Error("the trade is still known")
	}
	// A request_id that belonged to T1 is free for another trade.
	wantCode(t, "capture after the reset", b.capture(captureData("T2")), "200")
	wantCode(t, "query", b.query("T2"), "-1000")
	var stats struct {
		At time.Time
		gatewaytest.Stats
	}
	if err := json.Unmarshal(b.admin("GET", "/_sim/stats", "", 200), &stats); err != nil {
		t.Fatal(err)
	}
	if stats.Effects != 1 || stats.Queries != 1 || time.Since(stats.At) > time.Minute {
		t.Errorf("stats %+v", stats)
	}
}

func TestResetDropsLateLandings(t *testing.T) {
	b := start(t, func(o *gatewaytest.Options) { o.AutoCreate = true })
	b.script("T1", gatewaytest.Step{Fault: gatewaytest.Late})
	b.capture(captureData("T1"))
	b.sim.Reset()
	wantCode(t, "capture", b.capture(captureData("T1", "request_id", requestID(2))), "200")
	time.Sleep(2 * quick.LateBy) // no signal exists for what does not happen
	if got := b.truth("T1"); len(got.Captures) != 1 || got.CallsTotal != 1 {
		t.Errorf("what was sent before the reset landed after it: %+v", got)
	}
}

func TestForgetCallsCountsThem(t *testing.T) {
	b := start(t, func(o *gatewaytest.Options) { o.ForgetCalls = true })
	wantCode(t, "capture", b.capture(captureData("T1")), "200")
	wantCode(t, "query", b.query("T1"), "200")
	truth := b.truth("T1")
	if len(truth.Calls) != 0 || truth.CallsTotal != 2 || len(truth.Captures) != 1 {
		t.Errorf("truth %+v", truth)
	}
}
