package gateway_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

// listen serves raw connections, each once, until the test ends.
func listen(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serve(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// readRequest takes one whole request off the connection.
func readRequest(conn net.Conn) {
	conn.SetReadDeadline(time.Now().Add(processtest.Patience))
	buf := make([]byte, 64<<10)
	var got strings.Builder
	for !strings.HasSuffix(got.String(), "}}") {
		n, err := conn.Read(buf)
		got.Write(buf[:n])
		if err != nil {
			return
		}
	}
}

func reset(conn net.Conn) { conn.(*net.TCPConn).SetLinger(0) }

func TestNotSent(t *testing.T) {
	closed := listenAndClose(t)
	plain := listen(t, func(c net.Conn) { c.Write([]byte("this is no TLS\r\n")) })
	strangerTLS := httptest.NewUnstartedServer(http.NotFoundHandler())
	strangerTLS.Config.ErrorLog = log.New(io.Discard, "", 0)
	strangerTLS.StartTLS()
	defer strangerTLS.Close()
	for name, url := range map[string]string{
		"refused":        "http://" + closed,
		"refused, https": "https://" + closed,
		// A label of 64 letters is refused by the resolver without asking anyone.
		"no such name":     "https://" + strings.Repeat("a", 64) + ".invalid/Payments",
		"not TLS":          "https://" + plain,
		"unknown TLS cert": strangerTLS.URL,
	} {
		t.Run(name, func(t *testing.T) {
			got := dial(t, url, func(c *gateway.Config) { c.TLS.RootCAs = x509.NewCertPool() }).Capture(t.Context(), request(t))
			if got.Kind != capture.AnswerNotSent || got.Why == "" || got.HTTPStatus != 0 {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func listenAndClose(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestNotSentWhenTheHandshakeHangs(t *testing.T) {
	hold := make(chan struct{})
	addr := listen(t, func(net.Conn) { <-hold })
	defer close(hold)
	client := dial(t, "https://"+addr, func(c *gateway.Config) { c.Timeout = 100 * time.Millisecond })
	if got := client.Capture(t.Context(), request(t)); got.Kind != capture.AnswerNotSent {
		t.Errorf("got %+v", got)
	}
}

func TestNotSentWhenCancelledBefore(t *testing.T) {
	client := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("it was sent") })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := client.Capture(ctx, request(t)); got.Kind != capture.AnswerNotSent || !strings.Contains(got.Why, "canceled") {
		t.Errorf("got %+v", got)
	}
}

// Whatever breaks once there is a connection leaves the answer unknown.
func TestUnknownOnceConnected(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	long := success(`"` + strings.Repeat("x", 1<<20) + `"`)
	for name, tc := range map[string]struct {
		serve  func(net.Conn)
		status int
		why    string
	}{
		"reset at first byte":  {func(c net.Conn) { c.Read(make([]byte, 1)); reset(c) }, 0, "no answer"},
		"reset after reading":  {func(c net.Conn) { readRequest(c); reset(c) }, 0, "no answer"},
		"closed after reading": {readRequest, 0, "no answer"},
		"not HTTP":             {func(c net.Conn) { readRequest(c); io.WriteString(c, "hello\r\n") }, 0, "malformed HTTP"},
		"cut in the head":      {func(c net.Conn) { readRequest(c); io.WriteString(c, head) }, 0, "no answer"},
		"cut in the body":      {func(c net.Conn) { readRequest(c); io.WriteString(c, head+"Content-Length: 9000\r\n\r\n"+paidBody) }, 200, "unexpected EOF"},
		"cut between chunks": {func(c net.Conn) {
			readRequest(c)
			io.WriteString(c, head+"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
		}, 200, "unexpected EOF"},
		"over 1 MiB":   {func(c net.Conn) { readRequest(c); io.WriteString(c, head+"\r\n"+long) }, 200, "answer over 1 MiB"},
		"endless head": {func(c net.Conn) { readRequest(c); io.WriteString(c, head+strings.Repeat("A: b\r\n", 100_000)) }, 0, "exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			client := dial(t, "http://"+listen(t, tc.serve), nil)
			got := client.Capture(t.Context(), request(t))
			check(t, got, answerCase{kind: capture.AnswerUnknown, status: tc.status, why: tc.why})
		})
	}
}

func TestAnswerOfExactlyOneMiBIsRead(t *testing.T) {
	body := paidBody + strings.Repeat(" ", 1<<20-len(paidBody))
	if got := serve(t, saying(200, body)).Capture(t.Context(), request(t)); got.Kind != capture.AnswerDone {
		t.Errorf("got %+v", got)
	}
}

// hang starts a gateway that reads a request, says so, and answers too late.
func hang(t *testing.T, begin string) (url string, arrived chan struct{}) {
	arrived, release := make(chan struct{}, 8), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if begin != "" {
			io.WriteString(w, begin)
			w.(http.Flusher).Flush()
		}
		arrived <- struct{}{}
		<-release
	}))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(release) })
	return s.URL, arrived
}

func TestUnknownWhenTheTimeIsOver(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]string{"no answer": "", "half an answer": paidBody[:30]} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, _ := hang(t, begin)
			client := dial(t, url, func(c *gateway.Config) { c.Timeout = time.Second })
			got := client.Capture(t.Context(), request(t))
			if got.Kind != capture.AnswerUnknown || !strings.Contains(got.Why, "no complete answer within 1s") {
				t.Errorf("got %+v", got)
			}
			if got.Latency < time.Second || got.Latency > processtest.Patience {
				t.Errorf("latency %s", got.Latency)
			}
		})
	}
}

// A call may have to end before its timeout, because others are free to act from
// then on.
func TestUntil(t *testing.T) {
	t.Parallel()
	url, _ := hang(t, "")
	client := dial(t, url, nil)
	r := request(t)
	begin := time.Now()
	r.Until = begin.Add(time.Second)
	got := client.Capture(t.Context(), r)
	if got.Kind != capture.AnswerUnknown || !strings.Contains(got.Why, "CaptureRequest.Until") || time.Since(begin) > processtest.Patience {
		t.Errorf("after %s: %+v, want unknown when the time is over", time.Since(begin), got)
	}
}

func TestNotSentAfterUntil(t *testing.T) {
	url, arrived := hang(t, "")
	client := dial(t, url, nil)
	r := request(t)
	r.Until = time.Now()
	if got := client.Capture(t.Context(), r); got.Kind != capture.AnswerNotSent || !strings.Contains(got.Why, "CaptureRequest.Until") {
		t.Errorf("%+v, want not sent and why", got)
	}
	select {
	case <-arrived:
		t.Error("the request arrived")
	default:
	}
}

// The request is larger than what the system buffers, and it is not read: some
// of it was written, and its end was not.
func TestUnknownWhenTheTimeIsOverWhileWriting(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	addr := listen(t, func(net.Conn) { <-hold })
	defer close(hold)
	client := dial(t, "http://"+addr, func(c *gateway.Config) { c.Timeout = 2 * time.Second })
	r := request(t)
	r.Description = strings.Repeat("x", 16<<20)
	if got := client.Capture(t.Context(), r); got.Kind != capture.AnswerUnknown {
		t.Errorf("got %+v", got)
	}
}

func TestUnknownWhenCancelledOnTheWay(t *testing.T) {
	url, arrived := hang(t, "")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-arrived
		cancel(errors.New("the worker stops"))
	}()
	got := dial(t, url, nil).Capture(ctx, request(t))
	if got.Kind != capture.AnswerUnknown || !strings.Contains(got.Why, "the worker stops") {
		t.Errorf("got %+v", got)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		var calls atomic.Int32
		client := serve(t, func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			io.WriteString(w, paidBody)
		})
		got := client.Capture(t.Context(), request(t))
		check(t, got, answerCase{kind: capture.AnswerUnknown, status: status})
		if calls.Load() != 1 {
			t.Errorf("%d: %d requests", status, calls.Load())
		}
	}
}

func TestTooManyRequestsNamesRetryAfter(t *testing.T) {
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "30")
		http.Error(w, "slow down", http.StatusTooManyRequests)
	})
	check(t, client.Query(t.Context(), trade), answerCase{kind: capture.AnswerUnknown, status: 429, why: "HTTP 429 (Retry-After 30)"})
}
