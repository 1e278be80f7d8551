package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/bench/internal/fixture"
	"github.com/capture-worker/capture-worker/bench/internal/result"
	"github.com/capture-worker/capture-worker/bench/internal/stats"
	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
)

const (
	// readsWindow is how long appends are measured without a command, and then as
	// long with one.
	readsWindow = 2 * time.Second
	readsBound  = 5 * time.Minute // of one command
	// Of the trades so many are parked, and so many dead letters wait.
	parkedTrades, deadLetters = 100, 100
)

// readsSizes are the ledgers that are compared, in trades.
func readsSizes() []int { return []int{10_000, 300_000, 1_000_000} }

// reads measures what looking things up costs whom, as the ledger grows.
func (a *Harness) reads(ctx context.Context, o ScenarioOptions) ([]result.Table, error) {
	sizes := o.Sizes
	if len(sizes) == 0 {
		sizes = readsSizes()
	}
	var all []readsOf
	for _, n := range sizes {
		one, err := a.readsAt(ctx, o.jobs(n), o.Rounds)
		if err != nil {
			return nil, fmt.Errorf("reading beside a ledger of %d trades: %w", o.jobs(n), err)
		}
		all = append(all, one)
	}
	return readsTables(all), nil
}

// readsOf is what was measured at one size.
type readsOf struct {
	trades int
	reads  []measuredRead
	facts  []fact
}

// fact is one figure that is no command's.
type fact struct{ name, value string }

// measuredRead is a command that was measured.
type measuredRead struct {
	name  string
	took  stats.Spread // ms
	alone stats.Spread // p99 of appends without it, ms
	ratio stats.Spread // p99 with it to p99 without, round by round
}

// readsAt has a worker capture n trades, and measures on what that made.
func (a *Harness) readsAt(ctx context.Context, n, rounds int) (r readsOf, err error) {
	r.trades = n
	row, _, err := a.drain(ctx, n)
	if err != nil {
		return r, err
	}
	a.say("reads: %v", row)
	r.facts = append(r.facts, fact{"broker memory, MiB per million trades", row[len(row)-1]})
	disk, err := folderSize(a.Broker.Dir)
	if err != nil {
		return r, err
	}
	r.facts = append(r.facts, fact{"broker disk, bytes per trade with its job", fmt.Sprint(disk / int64(n))})
	amount, err := capture.ParseAmount("24.99", "EUR")
	if err != nil {
		return r, err
	}
	load := &appendLoad{ledger: ledger.NewJetStream(a.Broker.JS, ledger.Options{}), name: fmt.Sprintf("L%d", n), amount: amount}
	stop := load.start(ctx)
	defer stop()
	if err := a.addCases(ctx, n, amount); err != nil {
		return r, err
	}
	copied, err := a.copyCases(ctx, load)
	if err != nil {
		return r, err
	}
	filled, err := a.fillRecords(ctx, n)
	if err != nil {
		return r, err
	}
	r.facts = append(append(r.facts, copied...), filled...)
	follower, err := a.startRecords(ctx)
	if err != nil {
		return r, err
	}
	r.reads, err = a.measureReads(ctx, load, rounds)
	lag := follower.lag()
	_, stopErr := follower.Stop()
	if err = errors.Join(err, stopErr, load.failed()); err != nil {
		return r, err
	}
	r.facts = append(r.facts, fact{"records: lag while events are appended, ms", lag.Text("%.0f")})
	return r, nil
}

// measureReads measures the commands one by one.
func (a *Harness) measureReads(ctx context.Context, load *appendLoad, rounds int) ([]measuredRead, error) {
	commands, err := a.readCommands(ctx)
	if err != nil {
		return nil, err
	}
	took := make([][]float64, len(commands))
	with, without := make([]map[int]float64, len(commands)), make([]map[int]float64, len(commands))
	for i := range commands {
		with[i], without[i] = map[int]float64{}, map[int]float64{}
	}
	for round := range rounds {
		for i, c := range commands {
			without[i][round] = load.p99(func() error { return sleep(ctx, readsWindow) })
			with[i][round] = load.p99(func() error {
				for begin := time.Now(); time.Since(begin) < readsWindow; {
					ms, err := c.run(ctx)
					if err != nil {
						return fmt.Errorf("%s: %w", c.name, err)
					}
					took[i] = append(took[i], ms)
				}
				return nil
			})
			if err := errors.Join(load.failed(), ctx.Err()); err != nil {
				return nil, err
			}
		}
	}
	var all []measuredRead
	for i, c := range commands {
		m := measuredRead{name: c.name, took: stats.Of(took[i]), alone: stats.Of(values(without[i])), ratio: stats.Ratios(with[i], without[i])}
		a.say("reads: %s: %s ms, appends %s", m.name, m.took.Text("%.0f"), m.ratio.Text("%.2f"))
		all = append(all, m)
	}
	return all, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// readCommand is a command whose cost is measured; run returns how long it took, in
// ms.
type readCommand struct {
	name string
	run  func(context.Context) (float64, error)
}

// readCommands are the commands that read, the first of which reads nothing: what a
// process costs by itself is not the ledger's.
func (a *Harness) readCommands(ctx context.Context) ([]readCommand, error) {
	old, err := a.job(ctx, 1)
	if err != nil {
		return nil, err
	}
	records := "CAPTURE_RECORDS_DSN=" + a.recordsFile()
	none := "CAPTURE_RECORDS_DSN=off"
	command := func(name string, exit int, env string, args ...string) readCommand {
		return readCommand{name, func(ctx context.Context) (float64, error) { return a.timed(ctx, exit, env, args...) }}
	}
	return []readCommand{
		command("`version`, which reads nothing", 0, none, "version"),
		command("`show`, an old trade", 0, none, "show", old.TradeID),
		command("`show --order`, an old one, with records", 0, records, "show", "--order", old.OrderID),
		command("`show --order`, unknown, with records", 1, records, "show", "--order", "unknown"),
		command("`show --order`, unknown, without records", 1, none, "show", "--order", "unknown"),
		command("`parked list`, with records", 0, records, "parked", "list"),
		command("`parked list`, without records", 0, none, "parked", "list"),
		command("`parked list --open`, with records", 0, records, "parked", "list", "--open"),
		command("`parked list --open`, without records", 0, none, "parked", "list", "--open"),
		command("`dlq list`", 0, none, "dlq", "list"),
		command("`check`", 0, none, "check"),
		{"`run`, from its start until it takes jobs", a.timedStart},
	}, nil
}

// timed runs a command and returns how long it took. It has to end with the exit
// code.
func (a *Harness) timed(ctx context.Context, exit int, env string, args ...string) (ms float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, readsBound)
	defer cancel()
	setting := Setting{Concurrency: growthConcurrency, NATS: a.Broker.URL, Gateway: a.Gateway.URL}
	cmd := exec.CommandContext(ctx, a.program(CaptureWorker), args...)
	cmd.Dir = a.cfg.Dir
	cmd.Env = append([]string{"HOME=" + a.cfg.Dir, env}, workerEnv(nil)(setting)...)
	begin := time.Now()
	out, err := cmd.CombinedOutput()
	took := float64(time.Since(begin)) / float64(time.Millisecond)
	if cmd.ProcessState == nil {
		return 0, err
	}
	if got := cmd.ProcessState.ExitCode(); got != exit {
		return 0, fmt.Errorf("exit code %d, want %d: %.500s", got, exit, out)
	}
	return took, nil
}

func (a *Harness) timedStart(ctx context.Context) (ms float64, err error) {
	begin := time.Now()
	p, err := a.startWorker(growthConcurrency)
	if err != nil {
		return 0, err
	}
	err = ready(ctx, p)
	took := float64(time.Since(begin)) / float64(time.Millisecond)
	_, stopErr := p.Stop()
	return took, errors.Join(err, stopErr)
}

// job reads a job of the stream.
func (a *Harness) job(ctx context.Context, seq uint64) (j capture.Job, err error) {
	stream, err := a.Broker.JS.Stream(ctx, fixture.DefaultQueue().Stream)
	if err != nil {
		return j, err
	}
	m, err := stream.GetMsg(ctx, seq)
	if err != nil {
		return j, err
	}
	decoder, err := capture.NewDecoder(capture.Mapping{})
	if err != nil {
		return j, err
	}
	return decoder.Decode(nil, m.Data)
}

// addCases parks trades, spread over the ledger's subjects, and adds dead letters.
func (a *Harness) addCases(ctx context.Context, n int, amount capture.Amount) error {
	l := ledger.NewJetStream(a.Broker.JS, ledger.Options{})
	for i := range parkedTrades {
		trade := fmt.Sprintf("P%d-%d", n, i)
		job := capture.Job{TradeID: trade, Amount: amount, OrderID: "A-" + trade}
		e := capture.Event{ID: trade, Type: capture.Parked, TradeID: trade, Time: time.Now(), Worker: "bench", Reason: capture.ReasonUnresolved,
			Amount: amount.Number(), Currency: amount.Currency(), OrderID: job.OrderID, Job: &job}
		if _, err := l.Append(ctx, e, 0); err != nil {
			return err
		}
	}
	for range deadLetters {
		if _, err := a.Broker.JS.Publish(ctx, "capture.dlq.not_json", []byte("not a job")); err != nil {
			return err
		}
	}
	return nil
}

// copyCases has the server make the stream of cases again, from the whole ledger, as
// beside a ledger of an older version.
func (a *Harness) copyCases(ctx context.Context, load *appendLoad) ([]fact, error) {
	cases := fixture.DefaultQueue().Cases
	if err := a.Broker.JS.DeleteStream(ctx, cases); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, err
	}
	alone := load.p99(func() error { return sleep(ctx, readsWindow) })
	begin := time.Now()
	var took time.Duration
	with := load.p99(func() error {
		if _, err := ledger.EnsureCases(ctx, a.Broker.JS, ledger.StreamConfig{}); err != nil {
			return err
		}
		err := fixture.Until(ctx, readsBound, "the cases to be copied", func() (bool, error) {
			stream, err := a.Broker.JS.Stream(ctx, cases)
			return err == nil && stream.CachedInfo().State.Msgs >= parkedTrades, err
		})
		took = time.Since(begin)
		return errors.Join(err, sleep(ctx, readsWindow-took))
	})
	return []fact{
		{"copying the cases of the whole ledger, ms", fmt.Sprint(took.Milliseconds())},
		{"append p99 meanwhile, to the p99 before", fmt.Sprintf("%.2f", with/alone)},
	}, load.failed()
}

func (a *Harness) recordsFile() string { return filepath.Join(a.cfg.Dir, "records.db") }

// fillRecords fills a database from the ledger.
func (a *Harness) fillRecords(ctx context.Context, n int) ([]fact, error) {
	for _, part := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(a.recordsFile() + part); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	stream, err := a.Broker.JS.Stream(ctx, fixture.DefaultQueue().Ledger)
	if err != nil {
		return nil, err
	}
	events := stream.CachedInfo().State.Msgs
	setting := Setting{Concurrency: growthConcurrency, NATS: a.Broker.URL, Gateway: a.Gateway.URL}
	begin := time.Now()
	p, err := fixture.Start(fixture.Command{
		Name: "rebuild", Path: a.program(CaptureWorker), Dir: a.cfg.Dir, Args: []string{"records", "rebuild"},
		Env: append(workerEnv(nil)(setting), "CAPTURE_RECORDS_DSN="+a.recordsFile()),
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Hour)
	defer cancel()
	_, peak, err := p.Wait(ctx)
	if err != nil {
		return nil, err
	}
	took := time.Since(begin)
	info, err := os.Stat(a.recordsFile())
	if err != nil {
		return nil, err
	}
	return []fact{
		{"records (SQLite): filled, events a second", fmt.Sprintf("%.0f", float64(events)/took.Seconds())},
		{"records: peak memory while filled, MiB", fmt.Sprint(peak >> 20)},
		{"records: disk, bytes per trade", fmt.Sprint(info.Size() / int64(n))},
	}, nil
}

// recordsProcess follows the ledger.
type recordsProcess struct {
	*fixture.Process
	done    context.CancelFunc
	samples chan []float64
}

var metricsAddress = regexp.MustCompile(`address=(127\.0\.0\.1:\d+)`)

// startRecords starts a process that follows the ledger, and asks it four times a
// second how far it is behind.
func (a *Harness) startRecords(ctx context.Context) (*recordsProcess, error) {
	setting := Setting{Concurrency: growthConcurrency, NATS: a.Broker.URL, Gateway: a.Gateway.URL}
	p, err := fixture.Start(fixture.Command{
		Name: "records", Path: a.program(CaptureWorker), Dir: a.cfg.Dir, Args: []string{"records"},
		Env: append(workerEnv(nil)(setting), "CAPTURE_RECORDS_DSN="+a.recordsFile(), "CAPTURE_RECORDS_LISTEN=127.0.0.1:0"),
	})
	if err != nil {
		return nil, err
	}
	address := ""
	err = fixture.Until(ctx, readyBound, "the records to listen", func() (bool, error) {
		log, err := os.ReadFile(p.Log)
		if found := metricsAddress.FindSubmatch(log); found != nil {
			address = string(found[1])
		}
		return address != "", errors.Join(err, p.Alive())
	})
	if err != nil {
		return nil, errors.Join(err, func() error { _, err := p.Stop(); return err }())
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &recordsProcess{Process: p, done: cancel, samples: make(chan []float64, 1)}
	go func() { r.samples <- a.watchLag(ctx, address) }()
	return r, nil
}

// lag ends the watch and returns what was seen, in ms.
func (r *recordsProcess) lag() stats.Spread {
	r.done()
	return stats.Of(<-r.samples)
}

var appliedSequence = regexp.MustCompile(`capture_records_applied_sequence\{source="ledger"\} (\S+)`)

// watchLag measures how long the last event of the ledger takes until the records
// hold it.
func (a *Harness) watchLag(ctx context.Context, address string) (ms []float64) {
	for sleep(ctx, 250*time.Millisecond) == nil {
		stream, err := a.Broker.JS.Stream(ctx, fixture.DefaultQueue().Ledger)
		if err != nil {
			continue
		}
		last, begin := stream.CachedInfo().State.LastSeq, time.Now()
		for sleep(ctx, 2*time.Millisecond) == nil {
			if applied, err := appliedAt(ctx, address); err == nil && applied >= last {
				ms = append(ms, float64(time.Since(begin))/float64(time.Millisecond))
				break
			}
		}
	}
	return ms
}

func appliedAt(ctx context.Context, address string) (uint64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	found := appliedSequence.FindSubmatch(text)
	if found == nil {
		return 0, errors.New("no applied sequence among the metrics")
	}
	applied, err := strconv.ParseFloat(string(found[1]), 64)
	return uint64(applied), err
}
