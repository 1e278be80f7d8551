package demo

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/internal/processtest"
)

// The listener runs beside the worker, takes what the gateway sends, and ends
// with the worker.
func TestNotificationsReachTheWorker(t *testing.T) {
	world, err := newWorld(t.Context(), Options{Jobs: 5, Faults: "calm", Seed: 3, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer world.close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- world.service.Run(ctx) }()
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
	u, err := url.Parse(world.config.Gateway.NotifyURL)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", u.Host); err == nil {
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
