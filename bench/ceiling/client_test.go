package main

import (
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/capture-worker/capture-worker/bench/peers/contest"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The simulator refuses what is signed wrongly, and answers with the code as a
// string and as a number.
func TestClientAgainstTheSimulator(t *testing.T) {
	const user, secret = "016683", "test-key"
	sim := gatewaytest.New(gatewaytest.Options{User: user, Secret: secret, AutoCreate: true, AllowEmptyNotifyURL: true})
	defer sim.Close()
	server := httptest.NewServer(sim)
	defer server.Close()
	client := newClient(contest.Options{Gateway: server.URL + gatewaytest.PaymentsPath, User: user, Secret: secret, Concurrency: 8})
	defer client.close()
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			job := contest.Job{TradeID: "T" + strings.Repeat("x", i+1), Amount: "24.99", Currency: "EUR", Description: "order"}
			if err := client.capture(t.Context(), job); err != nil {
				t.Error(err)
			}
			if err := client.capture(t.Context(), job); err == nil {
				t.Error("a second capture passed for a paid one")
			}
		})
	}
	all.Wait()
	if stats := sim.Stats(); stats.Effects != 40 || stats.Captures != 80 {
		t.Errorf("stats %+v, want 40 captures and a refusal of each second one", stats)
	}
}
