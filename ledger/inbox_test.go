package ledger_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/ledger/ledgertest"
)

func TestOneSubscriptionForAllAppends(t *testing.T) {
	t.Parallel()
	js := connect(t, server(t).URL())
	ensure(t, js, ledger.StreamConfig{})
	nc := js.Conn()
	before := nc.NumSubscriptions()
	l := ledger.NewJetStream(js, ledger.Options{})
	if got := nc.NumSubscriptions(); got != before {
		t.Errorf("%d subscriptions before the first append, want %d", got, before)
	}
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			if _, err := l.Append(t.Context(), ledgertest.Event(fmt.Sprintf("t%d", n), capture.Attempted, 1), 0); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := nc.NumSubscriptions(); got != before+1 {
		t.Errorf("%d subscriptions after twenty appends, want %d", got, before+1)
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := nc.NumSubscriptions(); got != before {
		t.Errorf("%d subscriptions after Close, want %d", got, before)
	}
	_, err := l.Append(t.Context(), ledgertest.Event("late", capture.Attempted, 1), 0)
	if err == nil || errors.Is(err, ledger.ErrUncertain) || errors.Is(err, ledger.ErrConflict) {
		t.Errorf("append after Close: %v", err)
	}
	if got := stored(t, l, "t7"); got != "t7-attempted-1" {
		t.Errorf("read after Close: %s", got)
	}
}

// TestCloseEndsWaitingAppends checks that an append that can no longer get its
// reply does not wait for its timeout.
func TestCloseEndsWaitingAppends(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		end  func(*ledger.JetStream, *nats.Conn) error
		want error
	}{
		{"the connection is closed", func(_ *ledger.JetStream, nc *nats.Conn) error { nc.Close(); return nil }, ledger.ErrUncertain},
		{"the ledger is closed, the event is found", func(l *ledger.JetStream, _ *nats.Conn) error { return l.Close() }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := server(t).URL()
			direct := connect(t, url)
			ensure(t, direct, ledger.StreamConfig{})
			p := processtest.StartProxy(t, url)
			js := connect(t, p.URL)
			l := ledger.NewJetStream(js, ledger.Options{Timeout: 5 * processtest.Patience})
			p.Lose(nil, processtest.Always(anAck, processtest.Drop))
			result := make(chan error, 1)
			go func() {
				_, err := l.Append(t.Context(), ledgertest.Event("t", capture.Attempted, 1), 0)
				result <- err
			}()
			direct2 := ledger.NewJetStream(direct, ledger.Options{})
			await(t, "the event is stored", func() bool { return stored(t, direct2, "t") != "" })
			if err := c.end(l, js.Conn()); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-result:
				if !errors.Is(err, c.want) {
					t.Errorf("got %v, want %v", err, c.want)
				}
			case <-time.After(processtest.Patience):
				t.Fatal("the append still waits")
			}
		})
	}
}

// TestReplies checks the handling of replies from a subscriber that takes the place
// of the stream.
func TestReplies(t *testing.T) {
	t.Parallel()
	uncertain := ledger.ErrUncertain.Error()
	for _, c := range []struct {
		name, answer string
		seq          uint64
		fails        string // text of the error, "" for none
	}{
		{"as usual", `{"stream":"CAPTURES","seq":7}`, 7, ""},
		{"a great number", `{"stream":"CAPTURES","seq":18446744073709551615}`, 1<<64 - 1, ""},
		{"in a domain", `{"stream":"CAPTURES","domain":"hub","seq":7}`, 7, ""},
		{"spelled in another way", "{ \"seq\": 7,\n\"stream\": \"CAPTURES\", \"duplicate\": false }", 7, ""},
		{"refused", `{"error":{"code":400,"err_code":10077,"description":"message size exceeds maximum allowed"},"stream":"CAPTURES","seq":0}`, 0, "message size"},
		{"failed", `{"error":{"code":503,"err_code":10077,"description":"storing failed"},"stream":"CAPTURES","seq":0}`, 0, uncertain},
		{"a number that is none", `{"stream":"CAPTURES","seq":7x}`, 0, uncertain},
		{"too great a number", `{"stream":"CAPTURES","seq":28446744073709551615}`, 0, uncertain},
		{"no number", `{"stream":"CAPTURES","seq":}`, 0, uncertain},
		{"no stream", `{"seq":7}`, 0, uncertain},
		{"nothing", ``, 0, uncertain},
		{"no JSON", `+OK`, 0, uncertain},
	} {
		t.Run(c.name, func(t *testing.T) {
			js := connect(t, server(t).URL())
			if _, err := js.Conn().Subscribe("captures.>", func(m *nats.Msg) { _ = m.Respond([]byte(c.answer)) }); err != nil {
				t.Fatal(err)
			}
			o := patient
			if c.fails == uncertain { // reported at the end of the bound
				o = ledger.Options{Timeout: 100 * time.Millisecond, Bound: 100 * time.Millisecond}
			}
			l := ledger.NewJetStream(js, o)
			seq, err := l.Append(t.Context(), ledgertest.Event("t", capture.Attempted, 1), 0)
			if seq != c.seq || (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("got %d, %v; want %d, %q", seq, err, c.seq, c.fails)
			}
			if c.fails == "message size" && errors.Is(err, ledger.ErrUncertain) {
				t.Errorf("a refusal is certain: %v", err)
			}
		})
	}
}
