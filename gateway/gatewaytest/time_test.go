package gatewaytest_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
)

// direct calls the handler without a network, so that the time may be virtual.
// A broken connection is an answer with an error.
func direct(sim *gatewaytest.Simulator, method string, data map[string]string) (a answer) {
	w := httptest.NewRecorder()
	defer func() {
		if v := recover(); v != nil {
			a = answer{err: v.(error)}
		}
	}()
	r := httptest.NewRequest(http.MethodPost, gatewaytest.PaymentsPath, bytes.NewReader(body(user, secret, method, data)))
	sim.ServeHTTP(w, r)
	return readAnswer(w.Result())
}

func state(sim *gatewaytest.Simulator) string {
	a := direct(sim, gateway.MethodQueryOrder, map[string]string{"trade_id": "T1"})
	info, _ := a.Data["transaction_info"].(map[string]any)
	got, _ := info["state"].(string)
	return got
}

func virtual(t *testing.T, expires time.Duration, play func(*testing.T, *gatewaytest.Simulator)) {
	synctest.Test(t, func(t *testing.T) {
		sim := gatewaytest.New(gatewaytest.Options{User: user, Secret: secret, AllowEmptyNotifyURL: true})
		defer sim.Close()
		trade := gatewaytest.Trade{TradeID: "T1", Amount: euro(t, "30.00"), ExpiresAt: time.Now().Add(expires)}
		if err := sim.AddTrades(trade); err != nil {
			t.Fatal(err)
		}
		play(t, sim)
	})
}

func TestDefaultTimingUnderVirtualTime(t *testing.T) {
	tests := []struct {
		name    string
		expires time.Duration
		step    gatewaytest.Step
		after   time.Duration
		soon    string // the state at once
		later   string // and after that time
		taken   int
	}{
		{"late lands within 20 s", time.Hour, gatewaytest.Step{Fault: gatewaytest.Late}, 20 * time.Second, "authorized", "paid", 1},
		{"late finds it expired", time.Second, gatewaytest.Step{Fault: gatewaytest.Late}, 20 * time.Second, "authorized", "expired", 0},
		{"-1000 lands within 20 s", time.Hour, gatewaytest.Step{Fault: gatewaytest.ErrorLate}, 20 * time.Second, "authorized", "paid", 1},
		{"pending is paid after 15 s", time.Hour, gatewaytest.Step{Fault: gatewaytest.Pending}, 15 * time.Second, "pending", "paid", 1},
		{"nothing captured expires", 30 * 24 * time.Hour, gatewaytest.Step{Code: "-1000"}, 30 * 24 * time.Hour, "authorized", "expired", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, tt.expires, func(t *testing.T, sim *gatewaytest.Simulator) {
				if err := sim.Script("T1", tt.step); err != nil {
					t.Fatal(err)
				}
				go direct(sim, gateway.MethodCapture, captureData("T1")) // it may hang
				synctest.Wait()
				if got := state(sim); got != tt.soon {
					t.Errorf("at first %s, want %s", got, tt.soon)
				}
				time.Sleep(tt.after)
				synctest.Wait()
				if got := state(sim); got != tt.later {
					t.Errorf("after %s %s, want %s", tt.after, got, tt.later)
				}
				if truth, _ := sim.Truth("T1"); len(truth.Captures) != tt.taken {
					t.Errorf("%d captures, want %d", len(truth.Captures), tt.taken)
				}
			})
		})
	}
}

func TestStaleEndsAfterTenSeconds(t *testing.T) {
	virtual(t, time.Hour, func(t *testing.T, sim *gatewaytest.Simulator) {
		stale := gatewaytest.Step{Fault: gatewaytest.QueryStale}
		if err := sim.Script("T1", stale, stale); err != nil {
			t.Fatal(err)
		}
		wantCode(t, "capture", direct(sim, gateway.MethodCapture, captureData("T1")), "200")
		if got := state(sim); got != "authorized" {
			t.Errorf("a stale view shows %s, want authorized", got)
		}
		time.Sleep(10 * time.Second)
		if got := state(sim); got != "paid" {
			t.Errorf("ten seconds later it shows %s, want paid", got)
		}
	})
}

func TestCloseEndsWhatHangsAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := gatewaytest.New(gatewaytest.Options{User: user, Secret: secret, AllowEmptyNotifyURL: true})
		trade := gatewaytest.Trade{TradeID: "T1", Amount: euro(t, "30.00"), Script: []gatewaytest.Step{
			{Fault: gatewaytest.HangBefore}, {Fault: gatewaytest.Late}, {Fault: gatewaytest.Late},
		}}
		if err := sim.AddTrades(trade); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			go direct(sim, gateway.MethodCapture, captureData("T1"))
		}
		synctest.Wait()
		began := time.Now()
		sim.Close()
		if took := time.Since(began); took != 0 {
			t.Errorf("Close took %s", took)
		}
		time.Sleep(time.Hour)
		if truth, _ := sim.Truth("T1"); len(truth.Captures) != 0 {
			t.Error("a late request landed after Close")
		}
		if got := direct(sim, gateway.MethodCapture, captureData("T1")); got.http != http.StatusServiceUnavailable {
			t.Errorf("a call after Close got %+v", got)
		}
		sim.Close() // again is harmless; synctest fails on a goroutine left behind
	})
}

func TestOptionsValidate(t *testing.T) {
	good := gatewaytest.Options{User: user, Secret: secret}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*gatewaytest.Options){
		"no user":        func(o *gatewaytest.Options) { o.User = "" },
		"no secret":      func(o *gatewaytest.Options) { o.Secret = "" },
		"repeated":       func(o *gatewaytest.Options) { o.RepeatedRequestID = "sometimes" },
		"amount":         func(o *gatewaytest.Options) { o.PartialAmount = "half" },
		"form":           func(o *gatewaytest.Options) { o.NotifyForm = "xml" },
		"window":         func(o *gatewaytest.Options) { o.AfterWindow = "paid" },
		"second capture": func(o *gatewaytest.Options) { o.SecondCapture = "200" },
		"negative time":  func(o *gatewaytest.Options) { o.Timing.LateBy = -1 },
		"faults":         func(o *gatewaytest.Options) { o.Faults = gatewaytest.Faults{"x": 1} },
		"down":           func(o *gatewaytest.Options) { o.Down = "x" },
	} {
		o := good
		change(&o)
		if o.Validate() == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
}
