package gateway_test

import (
	"context"
	"errors"
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
		RequestID: gateway.NewRequestID(), // store it first, to repeat the attempt with it
	})
	switch answer.Kind {
	case capture.AnswerDone:
		fmt.Println("captured", answer.Order.Amount)
	case capture.AnswerRefused:
		fmt.Println("refused", answer.Code, answer.Why)
	case capture.AnswerUnknown:
		fmt.Println("ask Order Query before the next try:", answer.Why)
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

// An answer can be handled like any other Go result.
func ExampleCaptureRequest() {
	client, err := gateway.New(gateway.Config{URL: "http://localhost:1/Payments", User: "016683", SecretKey: "example-secret-key"})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	amount, err := capture.ParseAmount("24.99", "EUR")
	if err != nil {
		log.Fatal(err)
	}
	err = client.Capture(context.Background(), gateway.CaptureRequest{TradeID: "160899f3", Amount: amount, RequestID: "short"}).Err()
	if failed, ok := errors.AsType[*capture.AnswerError](err); ok {
		fmt.Println(failed.Answer.Kind)
	}
	fmt.Println(err)
	// Output:
	// not_sent
	// the call was not sent: the request_id is not at least 24 letters and digits: use gateway.NewRequestID
}

func ExampleNewRequestID() {
	id := gateway.NewRequestID()
	fmt.Println(gateway.ValidRequestID(id), gateway.ValidRequestID("order-1001"))
	// Output: true false
}
