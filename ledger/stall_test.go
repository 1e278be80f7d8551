package ledger_test

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/ledger/ledgertest"
)

// stallingLine is a connection of which a few writes stand still for a while,
// when a group of appends is being sent: the sender waits in the middle of it,
// and the time of those whose events it holds runs out meanwhile.
type stallingLine struct {
	net.Conn
	marks [][]byte
	left  *atomic.Int32 // stalls to come
}

func (l *stallingLine) Write(b []byte) (int, error) {
	for _, mark := range l.marks {
		if bytes.Contains(b, mark) && l.left.Add(-1) >= 0 {
			time.Sleep(300 * time.Millisecond)
			break
		}
	}
	return l.Conn.Write(b)
}

func (l *stallingLine) Dial(network, address string) (net.Conn, error) {
	c, err := net.Dial(network, address)
	return &stallingLine{Conn: c, marks: l.marks, left: l.left}, err
}

// TestAWriteThatStandsStill: whoever is told in the meantime uses his envelope
// again; the race detector sees where the sender still looks at it.
func TestAWriteThatStandsStill(t *testing.T) {
	t.Parallel()
	url, _ := atomicServer(t)
	line := &stallingLine{left: &atomic.Int32{}, marks: [][]byte{[]byte("Nats-Batch-Sequence: 3\r"), []byte("captures.t1")}}
	line.left.Store(5)
	l := ledger.SendBatches(ledger.NewJetStream(connect(t, url, nats.SetCustomDialer(line)),
		ledger.Options{Timeout: 100 * time.Millisecond, Bound: processtest.Patience}))
	const n = 250
	var wg sync.WaitGroup
	for _, a := range firsts(n) {
		wg.Go(func() {
			if _, err := l.Append(t.Context(), a.e, 0); err != nil {
				t.Errorf("%s: %v", a.e.TradeID, err)
			}
		})
	}
	wg.Wait()
	if got := len(walked(t, l)); got != n {
		t.Errorf("%d trades in the ledger, want %d", got, n)
	}
	if _, err := l.Append(t.Context(), ledgertest.Event("after", capture.Attempted, 1), 0); err != nil {
		t.Error(err)
	}
}
