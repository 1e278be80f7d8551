package gateway_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
)

func BenchmarkSign(b *testing.B) {
	b.ReportAllocs()
	params := gateway.Params(user, gateway.MethodCapture, 1720684254, map[string]string{
		"trade_id": trade, "amount": "24.99", "currency": "EUR", "description": "order A-1001", "notify_url": "",
		"request_id": "ca51f2fas3i0f8uiw7efj6oe4i2w1ghj",
	})
	for b.Loop() {
		gateway.Sign(secret, params)
	}
}

// BenchmarkCaptureBody signs and writes the body of a capture call.
func BenchmarkCaptureBody(b *testing.B) {
	b.ReportAllocs()
	client, r := dial(b, "http://127.0.0.1:1/Payments", nil), request(b)
	for b.Loop() {
		if len(gateway.CaptureBody(client, r)) == 0 {
			b.Fatal("no body")
		}
	}
}

func BenchmarkReadAnswer(b *testing.B) {
	r := request(b)
	b.Run("paid", func(b *testing.B) {
		benchRead(b, paidBody, capture.AnswerDone, func(body []byte) capture.Answer { return gateway.ReadCapture(200, body, r) })
	})
	b.Run("refused", func(b *testing.B) {
		benchRead(b, refusal("-4084"), capture.AnswerRefused, func(body []byte) capture.Answer { return gateway.ReadCapture(200, body, r) })
	})
	b.Run("query", func(b *testing.B) {
		benchRead(b, seen("authorized"), capture.AnswerDone, func(body []byte) capture.Answer { return gateway.ReadQuery(200, body, trade) })
	})
}

func benchRead(b *testing.B, body string, want capture.AnswerKind, read func([]byte) capture.Answer) {
	b.ReportAllocs()
	text := []byte(body)
	for b.Loop() {
		if got := read(text); got.Kind != want {
			b.Fatalf("got %+v", got)
		}
	}
}

// BenchmarkCapture makes whole calls to a gateway that costs next to nothing,
// over TCP and over a pipe in memory.
func BenchmarkCapture(b *testing.B) {
	b.Run("tcp", func(b *testing.B) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		defer l.Close()
		go func() {
			for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
				go sayPaid(conn)
			}
		}()
		benchCapture(b, dial(b, "http://"+l.Addr().String()+"/Payments", nil))
	})
	b.Run("pipe", func(b *testing.B) {
		client := dial(b, "http://127.0.0.1:1/Payments", nil)
		gateway.DialWith(client, func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			go sayPaid(far)
			return near, nil
		})
		benchCapture(b, client)
	})
}

func benchCapture(b *testing.B, client *gateway.Client) {
	b.ReportAllocs()
	r := request(b)
	for b.Loop() {
		if got := client.Capture(b.Context(), r); got.Kind != capture.AnswerDone {
			b.Fatalf("got %+v", got)
		}
	}
}

// sayPaid answers every request on a connection with the same bytes.
func sayPaid(conn net.Conn) {
	defer conn.Close()
	answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"+
		"Date: Sun, 22 Nov 2026 16:00:00 GMT\r\nContent-Length: %d\r\n\r\n%s", len(paidBody), paidBody)
	buf, n := make([]byte, 64<<10), 0
	for {
		got, err := conn.Read(buf[n:])
		if err != nil {
			return
		}
		if n += got; !bytes.HasSuffix(buf[:n], []byte("}}")) {
			continue
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
		n = 0
	}
}
