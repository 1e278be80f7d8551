package demo

import (
	"log/slog"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/internal/processtest"
)

// A hostile day of 2,000 orders with notifications on: every trade is settled,
// every ledger keeps the rules and agrees with the gateway's truth.
func TestHostileDay(t *testing.T) {
	processtest.Long(t)
	t.Parallel()
	o := Options{Jobs: 2000, Faults: "hostile", Seed: 11, Latency: 10 * time.Millisecond, Log: slog.New(slog.DiscardHandler)}
	result, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range result.Audit.Violations {
		t.Error(v)
	}
	a := result.Audit
	if !result.Clean || a.Trades != 2000 || a.Unsettled != 0 || a.Captured+a.Failed+a.Parked != 2000 {
		t.Errorf("the audit: %+v", a)
	}
	if int64(a.Captured) > result.Gateway.Effects || result.Gateway.Faults < 200 || result.Gateway.Notifications < 500 {
		t.Errorf("%d captured, the gateway counted %+v: not the day that was meant", a.Captured, result.Gateway)
	}
}
