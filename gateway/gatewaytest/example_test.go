package gatewaytest_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
)

// A capture whose answer is lost: the client cannot know whether it took effect, the
// simulator can.
func Example() {
	sim := gatewaytest.New(gatewaytest.Options{User: "016683", Secret: "example-key", AllowEmptyNotifyURL: true})
	defer sim.Close()
	server := httptest.NewServer(sim)
	defer server.Close()
	amount, err := capture.ParseAmount("24.99", "EUR")
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := sim.AddTrades(gatewaytest.Trade{
		TradeID: "T1", Amount: amount, Script: []gatewaytest.Step{{Fault: gatewaytest.ResetAfter}},
	}); err != nil {
		fmt.Println(err)
		return
	}

	client, err := gateway.New(gateway.Config{
		URL: server.URL + gatewaytest.PaymentsPath, User: "016683", SecretKey: "example-key", Timeout: 10 * time.Second,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	answer := client.Capture(context.Background(), gateway.CaptureRequest{
		TradeID: "T1", Amount: amount, RequestID: gateway.NewRequestID(),
	})
	fmt.Println("the client:", answer.Kind)

	truth, _ := sim.Truth("T1")
	fmt.Println("the simulator:", truth.Now, len(truth.Captures), truth.Captures[0].Amount)
	// Output:
	// the client: unknown
	// the simulator: paid 1 24.99 EUR
}

// Options that cannot be followed are reported by name.
func ExampleOptions_Validate() {
	fmt.Println(gatewaytest.Options{Secret: "example-key", SecondCapture: "no"}.Validate())
	// Output:
	// gateway simulator: Options.User is not set
	// gateway simulator: SecondCapture must be a negative integer, like the gateway's error codes
}
