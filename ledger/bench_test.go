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

// appender is what the benchmark measures.
type appender interface {
	Append(ctx context.Context, e capture.Event, after uint64, opts ...ledger.AppendOption) (uint64, error)
}

// BenchmarkAppend appends to trades of their own, from several writers at once.
// The server is a process of its own, so that cpu-us/op is the client's alone.
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
					continue // a batch for each event
				}
				b.Run(fmt.Sprintf("sync=%s/way=%s/writers=%d", sync, way.name, writers), func(b *testing.B) {
					benchAppend(b, way.open(benchStream(b, url)), writers)
				})
			}
		}
	}
}

// benchTrades counts the trades of all benchmarks: a deleted stream's files are
// cleared away in the server's own time.
var benchTrades atomic.Int64

// benchWarm is how long appends run before they are measured: so long the
// ledger takes to see what the server does.
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

// benchWriters lets writers append while there is more to do.
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

// benchEvent is a usual intent, with a trade of its own.
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
	// With its last stream the server clears the account's directory away too,
	// into which the next stream is being made.
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

// byLibrary is one append as it was before the ledger had an inbox of its own:
// one request of the client library, with its two contexts.
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

// The server of the benchmark is this very program, run once more.
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
		_ = stdin.Close() // it ends by that
		_ = c.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// TestServerOfTheBenchmark is a server, not a test, where the benchmark runs it.
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
