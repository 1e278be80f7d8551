package gatewaytest_test

import (
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
)

// A gateway that de-duplicates nothing takes parts of the authorized sum beside
// each other, and never more than the whole.
func TestPartialCaptures(t *testing.T) {
	b := start(t, func(o *gatewaytest.Options) {
		o.PartialCaptures, o.RepeatedRequestID = true, gatewaytest.Rerun
	})
	part := captureData("T1", "amount", "12.50")
	for _, want := range []string{"200", "200", "-4024"} {
		got := b.capture(part)
		wantCode(t, "capture of a part", got, want)
		if want == "200" && got.field("amount") != "12.50" {
			t.Errorf("amount %s, want that of the call", got.field("amount"))
		}
	}
	wantCode(t, "capture of what is left", b.capture(captureData("T1", "amount", "5.00")), "200")
	if n := len(b.truth("T1").Captures); n != 3 {
		t.Errorf("%d captures, want 3", n)
	}
}

// While the gateway refuses everything it takes no money; a script comes first,
// and afterwards all is as before.
func TestRefuseForATime(t *testing.T) {
	b := start(t, nil)
	b.admin("POST", "/_sim/faults", `{"refuse":"-3001"}`, 200)
	b.script("T1", gatewaytest.Step{Code: "-7777"})
	for _, want := range []string{"-7777", "-3001", "-3001"} {
		wantCode(t, "capture", b.capture(captureData("T1")), want)
	}
	if got := b.query("T1").field("state"); got != "authorized" {
		t.Errorf("state %s, want authorized", got)
	}
	b.admin("POST", "/_sim/faults", `{"refuse":""}`, 200)
	wantCode(t, "capture after it", b.capture(captureData("T1")), "200")
}

// A trade that the account does not know is one once it is added.
func TestAWrongAccount(t *testing.T) {
	b := start(t, nil)
	wantCode(t, "query", b.query("T2"), "-4024")
	wantCode(t, "capture", b.capture(captureData("T2")), "-4024")
	b.add(gatewaytest.Trade{TradeID: "T2", Amount: euro(t, "30.00")})
	wantCode(t, "capture once it is there", b.capture(captureData("T2")), "200")
}

// Order Query sees what happened when it is so old.
func TestQueryLag(t *testing.T) {
	virtual(t, time.Hour, func(t *testing.T, sim *gatewaytest.Simulator) {
		if err := sim.SetQueryLag(15 * time.Minute); err != nil {
			t.Fatal(err)
		}
		if got := direct(sim, gateway.MethodCapture, captureData("T1")); got.code() != "200" {
			t.Fatalf("capture: code %s", got.code())
		}
		for _, want := range []string{"authorized", "authorized", "paid"} {
			if got := state(sim); got != want {
				t.Errorf("state %s, want %s", got, want)
			}
			time.Sleep(8 * time.Minute) // virtual
		}
	})
}
