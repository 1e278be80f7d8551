package ledger_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
		broker := startBroker(b, sync, 1)
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
					benchAppend(b, way.open(benchStream(b, broker.url, nil)), writers, broker)
				})
			}
		}
	}
}

// BenchmarkReplicas appends to a stream of three servers, which are in one process
// beside the client's and share its processors.
func BenchmarkReplicas(b *testing.B) {
	for _, sync := range []string{"default", "always"} {
		broker := startBroker(b, sync, 3)
		for _, batches := range []ledger.Batches{ledger.BatchesOff, ledger.BatchesOn, ledger.BatchesAuto} {
			b.Run(fmt.Sprintf("sync=%s/batches=%s/writers=256", sync, batches), func(b *testing.B) {
				js := benchStream(b, broker.url, func(c *jetstream.StreamConfig) { c.Replicas = 3 })
				benchAppend(b, ledger.NewJetStream(js, ledger.Options{Batches: batches}), 256, broker)
			})
		}
	}
}

// BenchmarkCompression appends to a stream with and without compression. The size
// is what the files of the server take in the end.
func BenchmarkCompression(b *testing.B) {
	for _, compression := range []jetstream.StoreCompression{jetstream.NoCompression, jetstream.S2Compression} {
		broker := startBroker(b, "default", 1)
		b.Run("compression="+compression.String(), func(b *testing.B) {
			js := benchStream(b, broker.url, func(c *jetstream.StreamConfig) { c.Compression = compression })
			l := ledger.NewJetStream(js, ledger.Options{Batches: ledger.BatchesOff})
			benchAppend(b, l, 256, broker)
			if stream, err := js.Stream(b.Context(), ledger.DefaultStream); err == nil {
				b.ReportMetric(float64(broker.size(b))/float64(stream.CachedInfo().State.Msgs), "disk-B/event")
			}
		})
	}
}

// benchTrades counts the trades of all benchmarks, so that no trade id is used
// twice.
var benchTrades atomic.Int64

// benchWarm is how long appends run before the measurement, so that the ledger has
// chosen between single appends and batches.
const benchWarm = 300 * time.Millisecond

func benchAppend(b *testing.B, l appender, writers int, broker *benchBroker) {
	end := time.Now().Add(benchWarm)
	benchWriters(b, l, writers, func() bool { return time.Now().Before(end) })
	var begun atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	before, brokerBefore := cpuTime(b), broker.cpu(b)
	benchWriters(b, l, writers, func() bool { return begun.Add(1) <= int64(b.N) })
	b.ReportMetric(float64((broker.cpu(b)-brokerBefore).Microseconds())/float64(b.N), "broker-cpu-us/op")
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

// benchStream makes the ledger's stream again, with what change makes of its
// configuration.
func benchStream(b *testing.B, url string, change func(*jetstream.StreamConfig)) jetstream.JetStream {
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
	remake(b, js)
	if change == nil {
		return js
	}
	made, err := js.Stream(b.Context(), ledger.DefaultStream)
	if err != nil {
		b.Fatal(err)
	}
	config := made.CachedInfo().Config
	change(&config)
	if err := js.DeleteStream(b.Context(), ledger.DefaultStream); err != nil {
		b.Fatal(err)
	}
	if _, err := js.CreateStream(b.Context(), config); err != nil {
		b.Fatal(err)
	}
	return js
}

// remake deletes the ledger's stream and creates it as a worker does.
func remake(b *testing.B, js jetstream.JetStream) {
	if err := js.DeleteStream(b.Context(), ledger.DefaultStream); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		b.Fatal(err)
	}
	if _, err := ledger.EnsureStream(b.Context(), js, ledger.StreamConfig{}); err != nil {
		b.Fatal(err)
	}
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

// The servers of the benchmark are another process of this test binary.
const benchServer = "LEDGER_BENCH_SERVER"

// benchBroker is that process.
type benchBroker struct {
	url string
	pid int
	dir string
}

func startBroker(b *testing.B, sync string, servers int) *benchBroker {
	c := exec.Command(os.Args[0], "-test.run=^TestServerOfTheBenchmark$")
	broker := &benchBroker{dir: b.TempDir()}
	c.Env = append(os.Environ(), benchServer+"="+sync, benchServer+"_DIR="+broker.dir, fmt.Sprintf("%s_COUNT=%d", benchServer, servers))
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
	broker.url, broker.pid = strings.TrimSpace(line), c.Process.Pid
	return broker
}

// cpu returns the processor time that the process took so far; 0 if the system
// does not say.
func (p *benchBroker) cpu(b *testing.B) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(after)
	if len(fields) < 13 {
		b.Fatalf("unexpected form of %q", stat)
	}
	const tick = 10 * time.Millisecond
	var sum time.Duration
	for _, field := range fields[11:13] { // in user mode, in the kernel
		n, err := strconv.Atoi(field)
		if err != nil {
			b.Fatal(err)
		}
		sum += time.Duration(n) * tick
	}
	return sum
}

// size returns the bytes in the files of the process.
func (p *benchBroker) size(b *testing.B) (sum int64) {
	err := filepath.WalkDir(p.dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // the server removes files meanwhile
		}
		if info, err := d.Info(); err == nil {
			sum += info.Size()
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return sum
}

// TestServerOfTheBenchmark is the server process of the benchmarks, not a test.
func TestServerOfTheBenchmark(t *testing.T) {
	sync, dir := os.Getenv(benchServer), os.Getenv(benchServer+"_DIR")
	if sync == "" {
		t.Skip("run by the benchmarks")
	}
	var url string
	if os.Getenv(benchServer+"_COUNT") == "3" {
		start := natsserver.StartCluster
		if sync == "always" {
			start = natsserver.StartSyncedCluster
		}
		c, err := start(3, dir)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Shutdown()
		url = c.URL()
	} else {
		s, err := natsserver.Start(natsserver.Options{StoreDir: dir, SyncAlways: sync == "always"})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Shutdown()
		url = s.URL()
	}
	fmt.Println(url)
	_, _ = io.Copy(io.Discard, os.Stdin)
}
