package cli

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

// The listener runs beside the worker, takes what the gateway sends, and ends
// with the worker.
func TestNotificationsReachTheWorker(t *testing.T) {
	world, err := newDemoWorld(t.Context(), demoOptions{jobs: 5, faults: "calm", seed: 3}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer world.close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- world.plant.work(ctx, world.notices, world.config.Notify.Path) }()
	orders := drawOrders(5, 3, time.Now())
	if err := world.publish(ctx, orders); err != nil {
		t.Fatal(err)
	}
	delivered := func() (n int) {
		for truth := range world.sim.Truths() {
			for _, sent := range truth.Notifications {
				if sent.Delivered {
					n++
				}
			}
		}
		return n
	}
	processtest.WaitFor(t, processtest.Patience, "a notification of the gateway that is answered with ok", func() bool { return delivered() > 0 })
	if code := postTo(t, world.config.Gateway.NotifyURL); code != http.StatusUnauthorized {
		t.Errorf("a forged notification was answered %d", code)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", world.notices.Addr().String()); err == nil {
		conn.Close()
		t.Error("it still listens")
	}
}

func postTo(t *testing.T, url string) int {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: processtest.Patience}
	forged := `{"sign":"` + strings.Repeat("0", 64) + `","data":{"trade_id":"T1","state":"paid"}}`
	answer, err := client.Post(url, "application/json", strings.NewReader(forged))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}

func TestListenForNotices(t *testing.T) {
	c := config.Defaults()
	var logged strings.Builder
	log := slog.New(slog.NewTextHandler(&logged, nil))
	if l, err := listenForNotices(c, log); l != nil || err != nil {
		t.Errorf("off: %v, %v", l, err)
	}
	c.Notify.Listen = "127.0.0.1:0"
	l, err := listenForNotices(c, log)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if address := l.Addr().String(); !strings.Contains(logged.String(), address) || !strings.Contains(logged.String(), "gateway.notify_url is not set") {
		t.Errorf("the log does not name %s, or what is missing: %s", address, logged.String())
	}
	c.Notify.Listen = l.Addr().String()
	if _, err := listenForNotices(c, log); err == nil || !strings.Contains(err.Error(), "notify.listen") {
		t.Errorf("an address that is taken: %v, want an error that names the key", err)
	}
}
