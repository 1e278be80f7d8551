package examples

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/npmtest"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

func TestGoExamples(t *testing.T) {
	t.Parallel()
	publish, consume := goProgram(t, "publish"), goProgram(t, "consume")
	tryPublish(t, publish)
	tryConsume(t, consume, "bookkeeping")
	tryWithout(t, publish, consume, t.TempDir())
	assertOneLine(t, consume, unreachable(t), "create the folder", "nosuchfolder")
	tryWithdraw(t, goProgram(t, "withdraw"))
}

func TestNodeExamples(t *testing.T) {
	t.Parallel()
	from := filepath.Join("..", "..", "docs", "examples", "node")
	dir := npmtest.Install(t, from)
	programs := func(dir string) (publish, consume program) {
		for _, name := range []string{"publish.mjs", "consume.mjs"} {
			text, err := os.ReadFile(filepath.Join(from, name))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return program{dir: dir, args: []string{"node", "publish.mjs"}}, program{dir: dir, args: []string{"node", "consume.mjs"}}
	}
	publish, consume := programs(dir)
	tryPublish(t, publish)
	tryConsume(t, consume, "shop")
	tryWithout(t, publish, consume, t.TempDir())
	assertOneLine(t, consume, unreachable(t), "create it first", "nosuchfolder")
	for _, p := range pair(programs(t.TempDir())) {
		assertOneLine(t, p, unreachable(t), "npm ci", "1", "2", "3", "4", "5")
	}
}

// Without their package the Python examples say so. With it they run.
func TestPythonExamples(t *testing.T) {
	t.Parallel()
	processtest.Needs(t, "python3", "apt-get install python3")
	dir, err := filepath.Abs("../../docs/examples/python")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"publish.py", "consume.py"} {
		bare := program{args: []string{"python3", "-I", "-S", filepath.Join(dir, name)}} // no packages at all
		assertOneLine(t, bare, unreachable(t), "pip install nats-py")
	}
	if exec.CommandContext(t.Context(), "python3", "-c", "import nats").Run() != nil {
		t.Skip("left out: nats-py is not installed: pip install nats-py")
	}
	publish := program{args: []string{"python3", filepath.Join(dir, "publish.py")}}
	consume := program{args: []string{"python3", filepath.Join(dir, "consume.py")}}
	tryPublish(t, publish)
	tryWithout(t, publish, consume, filepath.Join(t.TempDir(), "outcomes.db"))
}

// tryWithout checks that the examples say in one line what is missing: the streams,
// or the server.
func tryWithout(t *testing.T, publish, consume program, to string) {
	t.Helper()
	job := []string{"160899f3", "24.99", "EUR", "A-1001", "2026-11-02T10:00:00Z"}
	b := newBroker(t)
	for _, stream := range []string{"CAPTURE_JOBS", "CAPTURES"} {
		if err := b.js.DeleteStream(t.Context(), stream); err != nil {
			t.Fatal(err)
		}
	}
	assertOneLine(t, publish, b, "capture-worker run", job...)
	assertOneLine(t, consume, b, "capture-worker run", to)
	assertOneLine(t, publish, unreachable(t), "NATS_URL", job...)
	assertOneLine(t, consume, unreachable(t), "NATS_URL", to)
}

// unreachable is a broker to which no connection is possible.
func unreachable(t *testing.T) *broker {
	t.Helper()
	return &broker{t: t, url: fmt.Sprintf("nats://user:hidden@127.0.0.1:%d", processtest.FreePort(t))}
}

func pair(a, b program) []program { return []program{a, b} }

// assertOneLine checks that the program fails, by itself, with one line that names
// the remedy and no password.
func assertOneLine(t *testing.T, p program, b *broker, remedy string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd, out := p.command(b, args...)
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })()
	err := cmd.Run()
	text := out.String()
	if err == nil || ctx.Err() != nil || strings.Count(strings.TrimSpace(text), "\n") > 0 || !strings.Contains(text, remedy) || strings.Contains(text, "hidden") {
		t.Errorf("%v: %v; it says:\n%s", cmd.Args, err, text)
	}
}

// tryPublish checks that the example publishes a valid job, and that a repeated one is
// stored once.
func tryPublish(t *testing.T, p program) {
	t.Helper()
	b := newBroker(t)
	for range 2 {
		cmd, out := p.command(b, "160899f3", "24.99", "EUR", "A-1001", "2026-11-02T10:00:00Z")
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	stream, err := b.js.Stream(t.Context(), "CAPTURE_JOBS")
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 1 {
		t.Errorf("%d jobs are stored, want 1", n)
	}
	m, err := stream.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	decoder, err := capture.NewDecoder(capture.Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	job, err := decoder.Decode(m.Header, m.Data)
	if err != nil {
		t.Fatalf("%v: %s", err, m.Data)
	}
	if m.Subject != "capture.jobs.shipped" || job.TradeID != "160899f3" || job.Amount.String() != "24.99 EUR" ||
		job.OrderID != "A-1001" || job.AuthorizedAt.Day() != 2 {
		t.Errorf("on %s: %+v", m.Subject, job)
	}
	if cmd, out := p.command(b, "160899f3"); cmd.Run() == nil {
		t.Errorf("it takes a job without an amount: %s", out)
	}
	if err := b.js.DeleteStream(t.Context(), "CAPTURE_JOBS"); err != nil {
		t.Fatal(err)
	}
	if cmd, out := p.command(b, "160899f3", "1", "EUR", "A", "2026-11-02T10:00:00Z"); cmd.Run() == nil || !strings.Contains(out.String(), "publish it again") {
		t.Errorf("nothing stores the job, and it says: %s", out)
	}
}

// tryWithdraw checks that the example publishes a valid withdrawal.
func tryWithdraw(t *testing.T, p program) {
	t.Helper()
	b := newBroker(t)
	if cmd, out := p.command(b, "A-1001", "returned"); cmd.Run() != nil {
		t.Fatalf("it fails: %s", out)
	}
	stream, err := b.js.Stream(t.Context(), "CAPTURE_WITHDRAWALS")
	if err != nil {
		t.Fatal(err)
	}
	m, err := stream.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	decoder, err := capture.NewWithdrawalDecoder(capture.Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := decoder.Decode(m.Header, m.Data)
	if err != nil || w != (capture.Withdrawal{OrderID: "A-1001", Reason: "returned"}) {
		t.Errorf("%+v, %v: %s", w, err, m.Data)
	}
	if cmd, out := p.command(b, "A-1001"); cmd.Run() == nil {
		t.Errorf("it takes a withdrawal without a reason: %s", out)
	}
}

// row is a row that the consumers store.
type row struct {
	ID, Type, Amount, Reason, Corrects string
	TradeID                            string `json:"trade_id"`
	OrderID                            string `json:"order_id"`
	Sequence                           uint64
}

func rows(t *testing.T, folder string) []row {
	t.Helper()
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var all []row
	for _, file := range files {
		if strings.HasPrefix(file.Name(), ".") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		var r row
		if err := json.Unmarshal(text, &r); err != nil {
			t.Fatalf("%s: %v: %s", file.Name(), err, text)
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b row) int { return int(a.Sequence) - int(b.Sequence) })
	return all
}

// tryConsume checks that outcomes and corrections are stored once each, also after
// redeliveries.
func tryConsume(t *testing.T, p program, durable string) {
	t.Helper()
	b := newBroker(t)
	folder := t.TempDir()
	b.append("T1", capture.Event{ID: "a1", Type: capture.Attempted}, capture.Event{ID: "a2", Type: capture.Parked, Reason: capture.ReasonUnresolved})
	b.append("T2", capture.Event{ID: "b/1", Type: capture.Failed, Reason: capture.ReasonTradeIncorrect})
	p.until(b, "two outcomes", func() bool { return len(rows(t, folder)) == 2 && b.unacked(durable) == 0 }, folder)

	// The correction is published while the consumer is stopped.
	b.append("T1", capture.Event{ID: "a3", Type: capture.Captured, Corrects: "a2"})
	out := p.until(b, "the correction", func() bool { return len(rows(t, folder)) == 3 && b.unacked(durable) == 0 }, folder)
	if strings.Contains(out, "parked") {
		t.Errorf("it began from the start:\n%s", out)
	}
	want := []row{
		{ID: "a2", Type: "parked", Amount: "24.99", Reason: "unresolved", TradeID: "T1", OrderID: "A-T1", Sequence: 2},
		{ID: "b/1", Type: "failed", Amount: "24.99", Reason: "trade_incorrect", TradeID: "T2", OrderID: "A-T2", Sequence: 3},
		{ID: "a3", Type: "captured", Amount: "24.99", Corrects: "a2", TradeID: "T1", OrderID: "A-T1", Sequence: 4},
	}
	if got := rows(t, folder); !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}

	// Everything is delivered again, as after a lost position: nothing is stored twice.
	if err := b.js.DeleteConsumer(t.Context(), "CAPTURES", durable); err != nil {
		t.Fatal(err)
	}
	out = p.until(b, "the replay", func() bool { return b.acked(durable) == 4 }, folder)
	if got := rows(t, folder); !slices.Equal(got, want) || strings.Contains(out, "T1") {
		t.Errorf("after the replay %+v, and it wrote:\n%s", got, out)
	}
}

// append writes events of a trade like the program.
func (b *broker) append(trade string, events ...capture.Event) {
	b.t.Helper()
	for _, e := range events {
		last, _, err := b.book.Last(b.t.Context(), trade)
		if err != nil {
			b.t.Fatal(err)
		}
		e.TradeID, e.Time, e.Worker, e.OrderID, e.Amount, e.Currency = trade, time.Now(), "w", "A-"+trade, "24.99", "EUR"
		if _, err := b.book.Append(b.t.Context(), e, last.Seq); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *broker) consumer(durable string) *jetstream.ConsumerInfo {
	consumer, err := b.js.Consumer(b.t.Context(), "CAPTURES", durable)
	if err != nil {
		return &jetstream.ConsumerInfo{NumAckPending: -1}
	}
	return consumer.CachedInfo()
}

// unacked returns the number of delivered messages without ack, -1 without a consumer.
func (b *broker) unacked(durable string) int { return b.consumer(durable).NumAckPending }

// acked returns the sequence up to which all messages are acked.
func (b *broker) acked(durable string) uint64 { return b.consumer(durable).AckFloor.Stream }
