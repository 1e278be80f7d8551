package archive_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/archive"
	"github.com/capture-worker/capture-worker/internal/natsserver"
	"github.com/capture-worker/capture-worker/ledger"
)

var trades = flag.Int("trades", 20_000, "trades of BenchmarkArchive")

// BenchmarkArchive measures events a second of archive, verify and reading, and
// the memory of the process, which has the server in it.
func BenchmarkArchive(b *testing.B) {
	s, err := natsserver.Start(natsserver.Options{StoreDir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Shutdown)
	nc, err := nats.Connect(s.URL())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(1000))
	if err != nil {
		b.Fatal(err)
	}
	fill(b, js)
	debug.FreeOSMemory()
	var target archive.Target
	b.Run("archive", func(b *testing.B) {
		for b.Loop() {
			if target, err = archive.OpenTarget(b.Context(), b.TempDir(), nil); err != nil {
				b.Fatal(err)
			}
			if _, err := (&archive.Archiver{JS: js, Ledger: ledger.DefaultStream, Target: target, OpenDay: true}).Run(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		rate(b)
	})
	dir := b.TempDir()
	if target, err = archive.OpenTarget(b.Context(), dir, nil); err != nil {
		b.Fatal(err)
	}
	if _, err := (&archive.Archiver{JS: js, Ledger: ledger.DefaultStream, Target: target, OpenDay: true}).Run(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Run("verify", func(b *testing.B) {
		for b.Loop() {
			found, err := archive.Verifier{Target: target, Ledger: ledger.DefaultStream}.Verify(b.Context())
			if err != nil || len(found.Problems) > 0 {
				b.Fatalf("%+v, %v", found, err)
			}
		}
		rate(b)
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			for _, err := range (archive.Whole{Target: target, JS: js, Ledger: ledger.DefaultStream}).Messages(b.Context(), time.Time{}) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
		rate(b)
	})
	if info, err := os.Stat(filesOf(b, dir)); err == nil {
		b.Logf("%.0f bytes a trade", float64(info.Size())/float64(*trades))
	}
}

func filesOf(b *testing.B, dir string) string {
	entries, err := os.ReadDir(dir + "/" + ledger.DefaultStream)
	if err != nil || len(entries) == 0 {
		b.Fatal(err)
	}
	folder := dir + "/" + ledger.DefaultStream + "/" + entries[0].Name()
	if entries, err = os.ReadDir(folder); err != nil {
		b.Fatal(err)
	}
	return folder + "/" + entries[0].Name()
}

func rate(b *testing.B) {
	b.ReportMetric(2*float64(*trades)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	if text, err := os.ReadFile("/proc/self/status"); err == nil {
		if found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text); found != nil {
			if kb, err := strconv.Atoi(string(found[1])); err == nil {
				b.ReportMetric(float64(kb)/1024, "MB-peak")
			}
		}
	}
}

// fill stores captured trades without the guard of the ledger, many at a time.
func fill(b *testing.B, js jetstream.JetStream) {
	if _, err := ledger.EnsureStream(b.Context(), js, ledger.StreamConfig{}); err != nil {
		b.Fatal(err)
	}
	sum, err := capture.ParseAmount("24.99", "EUR")
	if err != nil {
		b.Fatal(err)
	}
	for i := range *trades {
		id := fmt.Sprintf("%08x-f6d9-a8d8-ab5b-%012x", i*2654435761, i)
		job := &capture.Job{TradeID: id, Amount: sum, OrderID: fmt.Sprintf("A-%d", i), Description: "order"}
		for n, e := range []capture.Event{
			{Type: capture.Attempted, Attempt: 1, Call: 1, RequestID: "req" + id, Job: job, LeaseUntil: time.Now()},
			{Type: capture.Captured, Attempt: 1, Call: 1, Amount: "24.99", Currency: "EUR", OrderID: job.OrderID,
				Answer: &capture.Answer{Kind: capture.AnswerDone, Code: "200", ResponseID: "resp" + id, Order: &capture.Order{TradeID: id, State: capture.OrderPaid, Amount: sum}}},
		} {
			e.ID, e.TradeID, e.Time, e.Worker = fmt.Sprintf("%s-%d", id, n), id, time.Now().UTC(), "w1"
			raw, err := e.Encode()
			if err != nil {
				b.Fatal(err)
			}
			msg := &nats.Msg{Subject: ledger.Subject(id, e.Type), Data: raw, Header: nats.Header{"Capture-After": {"0"}, "ce-id": {e.ID}, "ce-type": {"capture." + string(e.Type)}}}
			if _, err := js.PublishMsgAsync(msg); err != nil {
				b.Fatal(err)
			}
		}
	}
	<-js.PublishAsyncComplete()
}
