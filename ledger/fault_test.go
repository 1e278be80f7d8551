package ledger_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/natsserver"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/ledger/ledgertest"
)

// Marks in the traffic.
const (
	aPublish = "HPUB captures."
	anAck    = `"stream":"CAPTURES"`
	aRead    = "Nats-Time-Stamp"
	aBatch   = "Nats-Num-Pending"
)

var quick = ledger.Options{Timeout: 200 * time.Millisecond, Bound: processtest.Patience}

// patient is for ledgers that must not run into their bound.
var patient = ledger.Options{Bound: processtest.Patience}

// behind returns a proxy, a ledger behind it, and one with a direct connection.
func behind(t *testing.T, o ledger.Options) (*processtest.Proxy, *ledger.JetStream, *ledger.JetStream) {
	t.Helper()
	return openBehind(t, ledger.NewJetStream, o)
}

func openBehind(t *testing.T, open opener, o ledger.Options) (*processtest.Proxy, *ledger.JetStream, *ledger.JetStream) {
	t.Helper()
	url := server(t).URL()
	direct := connect(t, url)
	ensure(t, direct, ledger.StreamConfig{})
	p := processtest.StartProxy(t, url)
	return p, open(connect(t, p.URL), o), ledger.NewJetStream(direct, patient)
}

func stored(t *testing.T, l ledger.Ledger, trade string) string {
	t.Helper()
	got, err := l.LoadLatest(t.Context(), trade)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]string, len(got.Events))
	for i, e := range got.Events {
		ids[i] = e.ID
	}
	return strings.Join(ids, " ")
}

func TestLostAppend(t *testing.T) {
	bothWays(t, lostAppend)
}

func lostAppend(t *testing.T, open opener) {
	for _, c := range []struct {
		name     string
		up, down func(string) processtest.Action
	}{
		{"not stored: message lost", processtest.Once(aPublish, processtest.Drop), nil},
		{"not stored: connection broken", processtest.Once(aPublish, processtest.Cut), nil},
		{"stored: ack lost", nil, processtest.Once(anAck, processtest.Drop)},
		{"stored: connection broken before the ack", nil, processtest.Once(anAck, processtest.Cut)},
		{"stored: every ack lost", nil, processtest.Always(anAck, processtest.Drop)},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, l, direct := openBehind(t, open, quick)
			first, err := l.Append(t.Context(), ledgertest.Event("t", capture.Attempted, 1), 0)
			if err != nil {
				t.Fatal(err)
			}
			p.Lose(c.up, c.down)
			seq, err := l.Append(t.Context(), ledgertest.Event("t", capture.Captured, 2), first)
			if err != nil {
				t.Fatal(err)
			}
			last, _, err := direct.Last(t.Context(), "t")
			if err != nil || last.Seq != seq {
				t.Errorf("sequence %d, in the ledger %d, %v", seq, last.Seq, err)
			}
			if got := stored(t, direct, "t"); got != "t-attempted-1 t-captured-2" {
				t.Errorf("stored: %s", got)
			}
		})
	}
}

func TestOtherWriterAfterLostAppend(t *testing.T) {
	bothWays(t, otherWriterAfterLost)
}

func otherWriterAfterLost(t *testing.T, open opener) {
	p, l, direct := openBehind(t, open, quick)
	// The first request of a connection is sent together with its subscription; only
	// a later one can be lost alone.
	if _, err := l.Append(t.Context(), ledgertest.Event("other", capture.Attempted, 1), 0); err != nil {
		t.Fatal(err)
	}
	lost := processtest.Once(aPublish, processtest.Drop)
	p.Lose(func(s string) processtest.Action {
		do := lost(s)
		if do == processtest.Drop {
			if _, err := direct.Append(t.Context(), ledgertest.Event("t", capture.Attempted, 2), 0); err != nil {
				t.Error(err)
			}
		}
		return do
	}, nil)
	_, err := l.Append(t.Context(), ledgertest.Event("t", capture.Attempted, 1), 0)
	if !errors.Is(err, ledger.ErrConflict) || errors.Is(err, ledger.ErrUncertain) {
		t.Errorf("got %v, want a conflict", err)
	}
	if got := stored(t, direct, "t"); got != "t-attempted-2" {
		t.Errorf("stored: %s", got)
	}
}

// TestUncertainAppend checks appends whose replies are all lost, whether the event
// was stored or not.
func TestUncertainAppend(t *testing.T) {
	bothWays(t, uncertainAppend)
}

func uncertainAppend(t *testing.T, open opener) {
	silent := processtest.Always("MSG ", processtest.Drop)
	for _, c := range []struct {
		name string
		up   func(string) processtest.Action
		want string
	}{
		{"not stored", processtest.Always("PUB ", processtest.Drop), ""},
		{"stored", nil, "t-attempted-1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, l, direct := openBehind(t, open, ledger.Options{Timeout: 50 * time.Millisecond, Bound: 400 * time.Millisecond})
			p.Lose(c.up, silent)
			began := time.Now()
			_, err := l.Append(t.Context(), ledgertest.Event("t", capture.Attempted, 1), 0)
			if !errors.Is(err, ledger.ErrUncertain) || errors.Is(err, ledger.ErrConflict) {
				t.Errorf("got %v, want ErrUncertain", err)
			}
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("the bound of 400ms took %s", took)
			}
			if got := stored(t, direct, "t"); got != c.want {
				t.Errorf("stored %q, want %q", got, c.want)
			}
			if _, err := l.Load(t.Context(), "t"); err == nil {
				t.Error("a read without a reply reported an empty trade")
			}
		})
	}
}

// TestLateArrival checks an append while the server is down and the client buffers
// several tries. When the server is back it receives all of them and stores one.
func TestLateArrival(t *testing.T) {
	bothWays(t, lateArrival)
}

func lateArrival(t *testing.T, open opener) {
	dir := t.TempDir()
	first, err := natsserver.Start(natsserver.Options{StoreDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(first.Shutdown)
	js := connect(t, first.URL())
	ensure(t, js, ledger.StreamConfig{})
	l := open(js, ledger.Options{Timeout: 50 * time.Millisecond, Bound: 500 * time.Millisecond})
	port := first.Port()
	first.Shutdown()
	e := ledgertest.Event("t", capture.Attempted, 1)
	if _, err := l.Append(t.Context(), e, 0); !errors.Is(err, ledger.ErrUncertain) {
		t.Fatalf("the server is down: %v", err)
	}
	second, err := natsserver.Start(natsserver.Options{StoreDir: dir, Port: port})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(second.Shutdown)
	slow := open(js, patient)
	if _, err := slow.Append(t.Context(), e, 0); err != nil {
		t.Fatalf("the same event again: %v", err)
	}
	if _, err := slow.Append(t.Context(), ledgertest.Event("t", capture.Attempted, 2), 0); !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("another event in its place: %v", err)
	}
	if got := stored(t, slow, "t"); got != "t-attempted-1" {
		t.Errorf("stored: %s", got)
	}
}

func TestIncompleteReadIsRepeated(t *testing.T) {
	t.Parallel()
	p, l, direct := behind(t, quick)
	var seq uint64
	var err error
	for n := range 20 {
		if seq, err = direct.Append(t.Context(), ledgertest.Event("t", capture.Queried, n), seq); err != nil {
			t.Fatal(err)
		}
	}
	for _, down := range []func(string) processtest.Action{processtest.Once(aRead, processtest.Drop), processtest.Once(aBatch, processtest.Drop), processtest.Once(aBatch, processtest.Cut)} {
		p.Lose(nil, down)
		got, err := l.Load(t.Context(), "t")
		if err != nil || len(got.Events) != 20 {
			t.Errorf("%d events, %v", len(got.Events), err)
		}
	}
	p.Lose(nil, processtest.Once(aBatch, processtest.Cut))
	yielded := 0
	for _, err := range l.Trades(t.Context(), ledger.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		yielded++
	}
	if yielded != 1 {
		t.Errorf("%d trades, want 1", yielded)
	}
}

func TestWatchContinuesAfterLostConnection(t *testing.T) {
	t.Parallel()
	p, l, direct := behind(t, quick)
	var seq uint64
	add := func(n int) {
		var err error
		if seq, err = direct.Append(t.Context(), ledgertest.Event("t", capture.Queried, n), seq); err != nil {
			t.Fatal(err)
		}
	}
	add(0)
	n := uint64(0)
	for entry, err := range l.Watch(t.Context(), 1) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; entry.Seq != n {
			t.Fatalf("sequence %d, want %d", entry.Seq, n)
		}
		if n == 6 {
			break
		}
		if n%2 == 1 {
			p.Lose(nil, processtest.Once("captures.", processtest.Cut))
		}
		add(int(n))
	}
}
