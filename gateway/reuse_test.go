package gateway_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

// counting starts a gateway that counts the connections made to it.
func counting(t *testing.T, concurrency int, h http.HandlerFunc) (*gateway.Client, *atomic.Int32) {
	var made atomic.Int32
	s := httptest.NewUnstartedServer(h)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			made.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return dial(t, s.URL, func(c *gateway.Config) { c.Concurrency = concurrency }), &made
}

func TestConnectionsAreReusedWhateverTheAnswer(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"paid":     saying(200, paidBody),
		"HTML 502": saying(502, "<html>"+strings.Repeat("bad gateway ", 5000)),
		"HTTP 204": saying(204, ""),
		"redirect": saying(302, "elsewhere"),
	} {
		client, made := counting(t, 4, h)
		for range 20 {
			client.Capture(t.Context(), request(t))
		}
		if made.Load() != 1 {
			t.Errorf("%s: %d connections for 20 calls in a row", name, made.Load())
		}
	}
}

// As many calls as the concurrency run at a time, in rounds. net/http's
// default of two kept connections would make new ones in each round.
func TestConnectionsAreBoundedByTheConcurrency(t *testing.T) {
	const concurrency, rounds = 16, 5
	arrived, release := make(chan struct{}, concurrency), make(chan struct{})
	client, made := counting(t, concurrency, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		arrived <- struct{}{}
		<-release
		io.WriteString(w, paidBody)
	})
	for range rounds {
		var wg sync.WaitGroup
		for range concurrency {
			wg.Go(func() {
				if got := client.Capture(t.Context(), request(t)); got.Kind != capture.AnswerDone {
					t.Errorf("got %+v", got)
				}
			})
		}
		for range concurrency {
			<-arrived
		}
		for range concurrency {
			release <- struct{}{}
		}
		wg.Wait()
	}
	if got := made.Load(); got < concurrency || got > 2*concurrency {
		t.Errorf("%d connections for %d rounds of %d calls at a time", got, rounds, concurrency)
	}
}

// breaking is a gateway that answers the first request of a connection and
// breaks on the second, after having read it.
func breaking(t *testing.T, requests, connections *atomic.Int32) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			wg.Go(func() { answerOnce(conn, requests) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return "http://" + l.Addr().String()
}

func answerOnce(conn net.Conn, requests *atomic.Int32) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(processtest.Patience))
	buffered := bufio.NewReader(conn)
	for range 2 {
		r, err := http.ReadRequest(buffered)
		if err != nil {
			return
		}
		io.Copy(io.Discard, r.Body)
		if requests.Add(1)%2 == 0 {
			return
		}
		resp := http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(len(paidBody)),
			Body: io.NopCloser(strings.NewReader(paidBody))}
		resp.Write(conn)
	}
}

func TestRequestIsNotRepeatedOnABrokenConnection(t *testing.T) {
	var requests, connections atomic.Int32
	client := dial(t, breaking(t, &requests, &connections), nil)
	if got := client.Capture(t.Context(), request(t)); got.Kind != capture.AnswerDone {
		t.Fatalf("first: %+v", got)
	}
	got := client.Capture(t.Context(), request(t))
	if got.Kind != capture.AnswerUnknown || requests.Load() != 2 || connections.Load() != 1 {
		t.Errorf("got %+v after %d requests on %d connections, want 2 on 1", got, requests.Load(), connections.Load())
	}
}

func TestConnectionClosedWhileIdleIsReplaced(t *testing.T) {
	closed := make(chan struct{}, 4)
	s := httptest.NewUnstartedServer(saying(200, paidBody))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- struct{}{}
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	client := dial(t, s.URL, nil)
	client.Capture(t.Context(), request(t))
	s.CloseClientConnections()
	<-closed
	if got := client.Capture(t.Context(), request(t)); got.Kind == capture.AnswerNotSent {
		t.Errorf("got %+v", got)
	}
	if got := client.Capture(t.Context(), request(t)); got.Kind != capture.AnswerDone {
		t.Errorf("after that: %+v", got)
	}
}
