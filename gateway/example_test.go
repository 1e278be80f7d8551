package gateway_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
)

func ExampleClient_Capture() {
	// In place of https://mapi.yabandpay.com/Payments.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"status":true,"code":"200","data":{"trade_id":"160899f3","amount":"24.99","currency":"EUR","state":"paid"}}`)
	}))
	defer server.Close()

	client, err := gateway.New(gateway.Config{URL: server.URL, User: "016683", SecretKey: "example-secret-key"})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	amount, err := capture.ParseAmount("24.99", "EUR")
	if err != nil {
		log.Fatal(err)
	}
	answer := client.Capture(context.Background(), gateway.CaptureRequest{
		TradeID: "160899f3", Amount: amount, Description: "order A-1001",
		RequestID: "ca51f2fas3i0f8uiw7efj6oe4i2w1ghj", // keep it, to send it again
	})
	switch answer.Kind {
	case capture.AnswerDone:
		fmt.Println("captured", answer.Order.Amount)
	case capture.AnswerRefused:
		fmt.Println("refused", answer.Code, answer.Why)
	case capture.AnswerUnknown:
		fmt.Println("ask Order Query before trying again:", answer.Why)
	case capture.AnswerNotSent:
		fmt.Println("try again:", answer.Why)
	}
	// Output: captured 24.99 EUR
}

func ExampleClient_Query() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"status":true,"code":200,"data":{"transaction_info":{"trade_id":"160899f3","amount":30,"currency":"EUR","state":"authorized"}}}`)
	}))
	defer server.Close()

	client, err := gateway.New(gateway.Config{URL: server.URL, User: "016683", SecretKey: "example-secret-key"})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	answer := client.Query(context.Background(), "160899f3")
	if answer.Kind == capture.AnswerDone {
		fmt.Println(answer.Order.State, answer.Order.Amount)
	}
	// Output: authorized 30.00 EUR
}

func ExampleParseNotification() {
	data := map[string]string{"type": "payment", "trade_id": "160899f3", "amount": "24.99", "currency": "EUR", "state": "paid"}
	body := gateway.Sign("example-secret-key", data) +
		`.{"type":"payment","trade_id":"160899f3","amount":"24.99","currency":"EUR","state":"paid"}`

	n, err := gateway.ParseNotification([]byte(body), "the-new-key", "example-secret-key")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(n.Type, n.TradeID, n.State, n.Amount)
	// Output: payment 160899f3 paid 24.99 EUR
}
