//go:build unix

package records

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/natsserver"
	"github.com/capture-worker/capture-worker/internal/pgtest"
	"github.com/capture-worker/capture-worker/ledger"
)

// benchTrades are captured by their first call: two events each.
const benchTrades = 50_000

// BenchmarkRebuild fills an empty database from a ledger of 100,000 events:
// go test ./internal/records -run '^$' -bench Rebuild -benchtime 1x
func BenchmarkRebuild(b *testing.B) {
	js := benchLedger(b)
	pg := pgtest.Start(b)
	for _, c := range []struct{ name, dsn string }{
		{"sqlite", filepath.Join(b.TempDir(), "records.db")}, {"postgres", pg.URL("records")},
	} {
		b.Run(c.name, func(b *testing.B) {
			s, err := Open(b.Context(), c.dsn, Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			decoder, err := capture.NewDecoder(capture.Mapping{})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				f := NewFollower(Config{JS: js, Store: s, Ledger: "CAPTURES", DLQ: "CAPTURE_DLQ", Consumer: "capture-records", Decoder: decoder, Filled: true})
				if err := f.Rebuild(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(2*benchTrades*float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(size(b, s, c.dsn))/benchTrades, "bytes/trade")
			benchQueries(b, s)
		})
	}
}

func size(b *testing.B, s *Store, dsn string) (n int64) {
	b.Helper()
	if s.d.postgres {
		if err := s.r.QueryRowContext(b.Context(), "SELECT pg_database_size(current_database())").Scan(&n); err != nil {
			b.Fatal(err)
		}
		return n
	}
	for _, part := range []string{"", "-wal"} {
		if info, err := os.Stat(dsn + part); err == nil {
			n += info.Size()
		}
	}
	return n
}

// queryTimes is how often each query is asked.
const queryTimes = 50

// benchQueries reports how long interactive queries take: the median and the worst.
func benchQueries(b *testing.B, s *Store) {
	b.Helper()
	for name, ask := range map[string]func() error{
		"find-ms":    func() error { _, err := s.FindTrades(b.Context(), "req-t0000777", Page{}); return err },
		"order-ms":   func() error { _, err := s.TradesOfOrder(b.Context(), "A-777", Page{}); return err },
		"unknown-ms": func() error { _, err := s.FindTrades(b.Context(), "nothing", Page{}); return err },
		"recent-ms":  func() error { _, err := s.FindTrades(b.Context(), "", Page{}); return err },
		"counts-ms":  func() error { _, _, err := s.Counts(b.Context()); return err },
		"sums-ms": func() error {
			_, err := s.Sums(b.Context(), SumQuery{From: epoch, To: epoch.AddDate(0, 1, 0), Daily: true})
			return err
		},
	} {
		took := make([]float64, queryTimes)
		for i := range took {
			began := time.Now()
			if err := ask(); err != nil {
				b.Fatal(err)
			}
			took[i] = float64(time.Since(began).Microseconds()) / 1000
		}
		slices.Sort(took)
		b.ReportMetric(took[len(took)/2], name)
		b.ReportMetric(took[len(took)-1], name+"-worst")
	}
}

// benchLedger is a broker whose ledger holds the trades.
func benchLedger(b *testing.B) jetstream.JetStream {
	b.Helper()
	server, err := natsserver.Start(natsserver.Options{StoreDir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(server.Shutdown)
	nc, err := nats.Connect(server.URL())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(512))
	if err != nil {
		b.Fatal(err)
	}
	if _, err := ledger.EnsureStream(b.Context(), js, ledger.StreamConfig{}); err != nil {
		b.Fatal(err)
	}
	for i := range benchTrades {
		trade := fmt.Sprintf("t%07d", i)
		for n, e := range capturedEvents(b, trade, fmt.Sprintf("A-%d", i), "24.99", "EUR", epoch.Add(time.Duration(i)*50*time.Second)) {
			raw, err := e.Encode()
			if err != nil {
				b.Fatal(err)
			}
			m := nats.NewMsg(ledger.Subject(trade, e.Type))
			m.Data = raw
			m.Header.Set("Capture-After", fmt.Sprint(n*(2*i+1)))
			if _, err := js.PublishMsgAsync(m); err != nil {
				b.Fatal(err)
			}
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(time.Minute):
		b.Fatal("the ledger is not filled")
	}
	return js
}
