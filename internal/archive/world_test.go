package archive_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/archive"
	"github.com/capture-worker/capture-worker/internal/natstest"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, processtest.Leftovers()) }

// world is a ledger on a real server.
type world struct {
	js     jetstream.JetStream
	ledger *ledger.JetStream
	seqs   map[string]uint64
	n      int
}

func newWorld(t *testing.T, maxAge time.Duration) *world {
	t.Helper()
	w := &world{js: natstest.JetStream(t), seqs: map[string]uint64{}}
	if _, err := ledger.EnsureStream(t.Context(), w.js, ledger.StreamConfig{MaxAge: maxAge}); err != nil {
		t.Fatal(err)
	}
	w.ledger = ledger.NewJetStream(w.js, ledger.Options{})
	t.Cleanup(func() {
		if err := w.ledger.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// capture appends the two events of a captured trade.
func (w *world) capture(t *testing.T, trade, amount, currency string) {
	t.Helper()
	sum, err := capture.ParseAmount(amount, currency)
	if err != nil {
		t.Fatal(err)
	}
	job := &capture.Job{TradeID: trade, Amount: sum, OrderID: "A-" + trade}
	w.append(t, capture.Event{Type: capture.Attempted, TradeID: trade, Attempt: 1, Call: 1, RequestID: "req" + trade, Job: job})
	w.append(t, capture.Event{Type: capture.Captured, TradeID: trade, Attempt: 1, Call: 1, Amount: amount, Currency: currency})
}

func (w *world) append(t *testing.T, e capture.Event) {
	t.Helper()
	w.n++
	e.ID, e.Time, e.Worker = fmt.Sprintf("e%d", w.n), time.Now().UTC(), "w1"
	seq, err := w.ledger.Append(t.Context(), e, w.seqs[e.TradeID])
	if err != nil {
		t.Fatal(err)
	}
	w.seqs[e.TradeID] = seq
}

// archiver archives as if it was so many days later.
func (w *world) archiver(target archive.Target, days int) *archive.Archiver {
	return &archive.Archiver{
		JS: w.js, Ledger: ledger.DefaultStream, Target: target, Now: func() time.Time { return time.Now().AddDate(0, 0, days) },
	}
}

func open(t *testing.T, place string, js jetstream.JetStream) archive.Target {
	t.Helper()
	target, err := archive.OpenTarget(t.Context(), place, js)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// places are one of each kind, empty.
func places(t *testing.T, js jetstream.JetStream) map[string]string {
	t.Helper()
	server := httptest.NewServer(gofakes3.New(s3mem.New(), gofakes3.WithAutoBucket(true)).Server())
	t.Cleanup(server.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	if _, err := js.CreateObjectStore(t.Context(), jetstream.ObjectStoreConfig{Bucket: "BOOKS"}); err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"folder": t.TempDir(), "s3": "s3://books/ledger?region=eu-west-1&endpoint=" + server.URL, "nats": "nats-object://BOOKS",
	}
}

// errCrash is what a crashing target ends with.
var errCrash = errors.New("crash")

// crashing is a target whose process ends at the n-th step: before an object is
// stored, or after it was, without knowing.
type crashing struct {
	archive.Target
	step, at int
}

func (c *crashing) now() bool { c.step++; return c.step == c.at }

func (c *crashing) Create(ctx context.Context, name string, body io.Reader, size int64) error {
	if c.now() {
		return errCrash
	}
	if err := c.Target.Create(ctx, name, body, size); err != nil {
		return err
	}
	if c.now() {
		return errCrash
	}
	return nil
}

func (c *crashing) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if c.now() {
		return nil, errCrash
	}
	return c.Target.Open(ctx, name)
}

// files are the objects of an archive in a folder that end so.
func files(t *testing.T, dir, suffix string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, suffix) {
			list = append(list, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}
