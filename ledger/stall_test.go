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

// stallingConn is a connection on which a few writes block for a while, in the
// middle of sending a group of appends, so that the timeouts of its members expire
// meanwhile.
type stallingConn struct {
	net.Conn
	marks [][]byte
	left  *atomic.Int32 // number of further stalls
}

func (l *stallingConn) Write(b []byte) (int, error) {
	for _, mark := range l.marks {
		if bytes.Contains(b, mark) && l.left.Add(-1) >= 0 {
			time.Sleep(300 * time.Millisecond)
			break
		}
	}
	return l.Conn.Write(b)
}

func (l *stallingConn) Dial(network, address string) (net.Conn, error) {
	c, err := net.Dial(network, address)
	return &stallingConn{Conn: c, marks: l.marks, left: l.left}, err
}

// TestStallingWrite checks that appends that end during a stalled write release
// their messages safely. The race detector reports if the sender still reads one.
func TestStallingWrite(t *testing.T) {
	t.Parallel()
	url, _ := atomicServer(t)
	line := &stallingConn{left: &atomic.Int32{}, marks: [][]byte{[]byte("Nats-Batch-Sequence: 3\r"), []byte("captures.t1")}}
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
