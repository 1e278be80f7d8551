package ledger_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/natsserver"
	"github.com/capture-worker/capture-worker/ledger"
)

// appender is what the benchmark measures: a ledger, or byLibrary.
type appender interface {
	Append(ctx context.Context, e capture.Event, after uint64, opts ...ledger.AppendOption) (uint64, error)
}

// BenchmarkAppend appends to a new trade each time, from several writers at once.
// The server is another process, so cpu-us/op is that of the client only.
func BenchmarkAppend(b *testing.B) {
	for _, sync := range []string{"default", "always"} {
		url := serverProcess(b, sync)
		for _, way := range []struct {
			name string
			open func(jetstream.JetStream) appender
		}{
			{"library", func(js jetstream.JetStream) appender { return byLibrary{js} }},
			{"one-by-one", func(js jetstream.JetStream) appender {
				return ledger.SendSingly(ledger.NewJetStream(js, ledger.Options{}))
			}},
			{"batches", func(js jetstream.JetStream) appender {
				return ledger.SendBatches(ledger.NewJetStream(js, ledger.Options{}))
			}},
			{"chosen", func(js jetstream.JetStream) appender { return ledger.NewJetStream(js, ledger.Options{}) }},
		} {
			for _, writers := range []int{1, 64, 256} {
				if way.name == "batches" && writers == 1 {
					continue // would be a batch per event
				}
				b.Run(fmt.Sprintf("sync=%s/way=%s/writers=%d", sync, way.name, writers), func(b *testing.B) {
					benchAppend(b, way.open(benchStream(b, url)), writers)
				})
			}
		}
	}
}

// benchTrades counts the trades of all benchmarks, so that no trade id is used
// twice.
var benchTrades atomic.Int64

// benchWarm is how long appends run before the measurement, so that the ledger has
// chosen between single appends and batches.
const benchWarm = 300 * time.Millisecond

func benchAppend(b *testing.B, l appender, writers int) {
	end := time.Now().Add(benchWarm)
	benchWriters(b, l, writers, func() bool { return time.Now().Before(end) })
	var begun atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime(b)
	benchWriters(b, l, writers, func() bool { return begun.Add(1) <= int64(b.N) })
	if l, ok := l.(*ledger.JetStream); ok && ledger.Batching(l) {
		b.ReportMetric(1, "batching")
	}
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
}

// benchWriters runs writers that append while more returns true.
func benchWriters(b *testing.B, l appender, writers int, more func() bool) {
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for more() {
				if _, err := l.Append(b.Context(), benchEvent(benchTrades.Add(1)), 0); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// benchEvent returns a typical intent for a new trade.
func benchEvent(n int64) capture.Event {
	at := time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Microsecond)
	return capture.Event{
		ID: fmt.Sprintf("event%021d", n), Type: capture.Attempted, TradeID: fmt.Sprintf("trade-%d", n), Worker: "bench",
		Time: at, Rule: "first-call", Attempt: 1, Call: 1, RequestID: "ca51f2fas3i0f8uiw7efj6oe4i", LeaseUntil: at.Add(time.Minute),
	}
}

func cpuTime(b *testing.B) time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

func benchStream(b *testing.B, url string) jetstream.JetStream {
	nc, err := nats.Connect(url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		b.Fatal(err)
	}
	// With its last stream the server deletes the directory of the account, in which
	// it creates the next stream at the same time.
	if _, err := js.CreateOrUpdateStream(b.Context(), jetstream.StreamConfig{Name: "OTHER"}); err != nil {
		b.Fatal(err)
	}
	if err := js.DeleteStream(b.Context(), ledger.DefaultStream); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		b.Fatal(err)
	}
	if _, err := ledger.EnsureStream(b.Context(), js, ledger.StreamConfig{}); err != nil {
		b.Fatal(err)
	}
	return js
}

// byLibrary appends with a request of the client library, for comparison.
type byLibrary struct{ js jetstream.JetStream }

func (l byLibrary) Append(ctx context.Context, e capture.Event, after uint64, _ ...ledger.AppendOption) (uint64, error) {
	data, err := e.Encode()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	try, cancelTry := context.WithTimeout(ctx, 5*time.Second)
	defer cancelTry()
	msg := &nats.Msg{Subject: ledger.Subject(e.TradeID, e.Type), Data: data, Header: nats.Header{
		"ce-specversion": {"1.0"}, "ce-id": {e.ID}, "ce-type": {"capture." + string(e.Type)}, "ce-source": {"capture-worker"},
		"ce-subject": {e.TradeID}, "ce-time": {e.Time.UTC().Format(time.RFC3339Nano)},
		"content-type": {"application/json"}, "Capture-After": {fmt.Sprint(after)},
	}}
	ack, err := l.js.PublishMsg(try, msg, jetstream.WithExpectLastSequenceForSubject(after, ledger.TradeFilter(e.TradeID)),
		jetstream.WithExpectStream(ledger.DefaultStream), jetstream.WithRetryAttempts(0))
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// The server of the benchmark is another process of this test binary.
const benchServer = "LEDGER_BENCH_SERVER"

func serverProcess(b *testing.B, sync string) string {
	c := exec.Command(os.Args[0], "-test.run=^TestServerOfTheBenchmark$")
	c.Env = append(os.Environ(), benchServer+"="+sync, benchServer+"_DIR="+b.TempDir())
	c.Stderr = os.Stderr
	stdin, err := c.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stdin.Close() // ends the server
		_ = c.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// TestServerOfTheBenchmark is the server process of the benchmark, not a test.
func TestServerOfTheBenchmark(t *testing.T) {
	sync := os.Getenv(benchServer)
	if sync == "" {
		t.Skip("run by BenchmarkAppend")
	}
	s, err := natsserver.Start(natsserver.Options{StoreDir: os.Getenv(benchServer + "_DIR"), SyncAlways: sync == "always"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	fmt.Println(s.URL())
	_, _ = io.Copy(io.Discard, os.Stdin)
}
