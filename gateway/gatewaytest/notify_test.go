package gatewaytest_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
)

// inbox is the shop's side of notify_url.
type inbox struct {
	url    string
	mu     sync.Mutex
	bodies []string
	times  []time.Time
	refuse int // how many to answer with something else than ok
}

func newInbox(t *testing.T) *inbox {
	in := &inbox{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		in.mu.Lock()
		defer in.mu.Unlock()
		in.bodies = append(in.bodies, string(body))
		in.times = append(in.times, time.Now())
		if in.refuse > 0 {
			in.refuse--
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ok")
	}))
	t.Cleanup(server.Close)
	in.url = server.URL
	return in
}

func (in *inbox) received() []string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return append([]string(nil), in.bodies...)
}

func (in *inbox) wait(t *testing.T, n int) []string {
	t.Helper()
	eventually(t, "the notifications arrive", func() bool { return len(in.received()) >= n })
	return in.received()
}

func TestNotificationForms(t *testing.T) {
	for form, prefix := range map[gatewaytest.Form]string{
		gatewaytest.FormObject: `{"`, gatewaytest.FormField: "resultData=", gatewaytest.FormDotted: "",
		gatewaytest.FormEncoded: "%7B",
	} {
		t.Run(string(form), func(t *testing.T) {
			in := newInbox(t)
			b := start(t, func(o *gatewaytest.Options) { o.NotifyForm = form })
			wantCode(t, "capture", b.capture(captureData("T1", "notify_url", in.url)), "200")
			body := in.wait(t, 1)[0]
			if !strings.HasPrefix(body, prefix) || form == gatewaytest.FormDotted && body[64:66] != ".{" {
				t.Errorf("not of the form: %s", body)
			}
			n, err := gateway.ParseNotification([]byte(body), secret)
			if err != nil {
				t.Fatal(err)
			}
			if n.TradeID != "T1" || n.State != capture.OrderPaid || n.Amount != euro(t, "24.99") || n.User != user {
				t.Errorf("it says %+v", n)
			}
		})
	}
}

// TestNotificationsAreSignedInEveryWay checks that notifications of every seed are
// verified, and that times are Unix seconds.
func TestNotificationsAreSignedInEveryWay(t *testing.T) {
	now := fmt.Sprint(time.Now().Unix())[:6]
	for _, rendering := range append(gateway.Renderings(), "") {
		t.Run(rendering, func(t *testing.T) {
			in := newInbox(t)
			b := start(t, func(o *gatewaytest.Options) { o.NotifyRendering = rendering })
			const trades = 40
			for i := range trades {
				b.add(gatewaytest.Trade{TradeID: fmt.Sprintf("N%d", i), Amount: euro(t, "30.00")})
				wantCode(t, "capture", b.capture(captureData(fmt.Sprintf("N%d", i), "notify_url", in.url, "request_id", requestID(1000+i))), "200")
			}
			for _, body := range in.wait(t, trades) {
				n, err := gateway.ParseNotification([]byte(body), secret)
				if err != nil || n.State != capture.OrderPaid || n.Amount != euro(t, "24.99") || !strings.HasPrefix(n.PaidTime, now) {
					t.Fatalf("%+v, %v\n%s", n, err, body)
				}
			}
		})
	}
}

func TestNotificationIsRetriedUntilOK(t *testing.T) {
	in := newInbox(t)
	in.refuse = 2
	b := start(t, nil)
	b.capture(captureData("T1", "notify_url", in.url))
	in.wait(t, 3)
	eventually(t, "it is delivered", func() bool { return b.truth("T1").Notifications[0].Delivered })
	if got := b.truth("T1").Notifications[0]; got.Tries != 3 || got.Problem != "" {
		t.Errorf("the truth about it is %+v, want three tries", got)
	}
}

func TestNotifyFaults(t *testing.T) {
	tests := map[gatewaytest.Fault]struct{ states []capture.OrderState }{
		gatewaytest.NotifyEarly:      {[]capture.OrderState{"paid"}},
		gatewaytest.NotifyLate:       {[]capture.OrderState{"paid"}},
		gatewaytest.NotifyTwice:      {[]capture.OrderState{"paid", "paid"}},
		gatewaytest.NotifyOutOfOrder: {[]capture.OrderState{"paid", "pending"}},
		gatewaytest.NotifyLost:       {nil},
	}
	for fault, tt := range tests {
		t.Run(string(fault), func(t *testing.T) {
			in := newInbox(t)
			b := start(t, func(o *gatewaytest.Options) {
				o.Faults = gatewaytest.Faults{fault: 1}
				o.Timing.NotifyDelay = 60 * time.Millisecond
				o.Timing.NotifyLateBy = 600 * time.Millisecond
			})
			wantCode(t, "capture", b.capture(captureData("T1", "notify_url", in.url)), "200")
			answered := time.Now()
			var states []capture.OrderState
			for _, body := range in.wait(t, len(tt.states)) {
				n, err := gateway.ParseNotification([]byte(body), secret)
				if err != nil {
					t.Fatal(err)
				}
				states = append(states, n.State)
			}
			if len(states) != len(tt.states) || len(states) == 2 && states[1] != tt.states[1] {
				t.Errorf("states %v, want %v", states, tt.states)
			}
			in.mu.Lock()
			defer in.mu.Unlock()
			if fault == gatewaytest.NotifyEarly && in.times[0].After(answered) {
				t.Error("it came after the answer")
			}
			if fault == gatewaytest.NotifyLate && in.times[0].Sub(answered) < 100*time.Millisecond {
				t.Error("it was not late")
			}
		})
	}
}

func TestPendingIsNotifiedTwice(t *testing.T) {
	in := newInbox(t)
	b := start(t, nil)
	b.script("T1", gatewaytest.Step{Fault: gatewaytest.Pending})
	b.capture(captureData("T1", "notify_url", in.url))
	want := []capture.OrderState{"pending", "paid"}
	for i, body := range in.wait(t, 2) {
		if n, err := gateway.ParseNotification([]byte(body), secret); err != nil || n.State != want[i] {
			t.Errorf("notification %d: %v %v, want %v", i, n.State, err, want[i])
		}
	}
}

func TestForgedNotificationHasABadSignature(t *testing.T) {
	in := newInbox(t)
	b := start(t, func(o *gatewaytest.Options) { o.Faults = gatewaytest.Faults{gatewaytest.NotifyForged: 1} })
	b.script("T1", gatewaytest.Step{Fault: gatewaytest.ErrorBefore})
	b.capture(captureData("T1", "notify_url", in.url)) // no effect: the lie is all there is
	if _, err := gateway.ParseNotification([]byte(in.wait(t, 1)[0]), secret); !errors.Is(err, gateway.ErrSignature) {
		t.Errorf("error %v, want a bad signature", err)
	}
	if got := b.truth("T1").Notifications[0]; got.Kind != "notify_forged" || got.State != "paid" {
		t.Errorf("the truth about it is %+v", got)
	}
}

func TestNotifiesLoopbackOnly(t *testing.T) {
	for _, url := range []string{"http://192.0.2.1/notify", "https://shop.example/notify", "ftp://127.0.0.1/", "nonsense"} {
		b := start(t, nil)
		wantCode(t, "capture", b.capture(captureData("T1", "notify_url", url)), "200")
		truth := b.truth("T1")
		if len(truth.Notifications) != 1 || truth.Notifications[0].Problem == "" || truth.Notifications[0].Tries != 0 {
			t.Errorf("%s: the truth shows %+v, want one refused", url, truth.Notifications)
		}
		if n := b.sim.Stats(); n.RefusedNotify != 1 || n.Notifications != 0 {
			t.Errorf("%s: stats %+v", url, n)
		}
	}
}
