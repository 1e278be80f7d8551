package worker_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/jobstream"
	"github.com/capture-worker/capture-worker/internal/natstest"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/reconcile"
	"github.com/capture-worker/capture-worker/worker"
)

// shop is a broker, a simulated gateway and what a worker needs of them.
type shop struct {
	log     *slog.Logger             // nil: discarded
	observe func(worker.Disposition) // if set
	t       *testing.T
	js      jetstream.JetStream
	pulls   jetstream.JetStream // what a worker pulls with; nil: js
	sim     *gatewaytest.Simulator
	client  *gateway.Client
	ledger  ledger.Ledger
	streams jobstream.Config
	rate    float64 // of calls
	intake  *worker.Intake
	ids     sync.Mutex
	minted  int
	became  atomic.Value // the worker.Verb of the last delivery
}

func newShop(t *testing.T, o gatewaytest.Options) *shop {
	t.Helper()
	js := natstest.JetStream(t)
	o.User, o.Secret, o.AllowEmptyNotifyURL = "016683", "shop-secret", true
	sim := gatewaytest.New(o)
	t.Cleanup(sim.Close)
	front := httptest.NewServer(sim)
	t.Cleanup(front.Close)
	client, err := gateway.New(gateway.Config{URL: front.URL + gatewaytest.PaymentsPath, User: o.User, SecretKey: o.Secret})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if _, err := ledger.EnsureStream(t.Context(), js, ledger.StreamConfig{}); err != nil {
		t.Fatal(err)
	}
	return &shop{
		t: t, js: js, sim: sim, client: client, ledger: ledger.NewJetStream(js, ledger.Options{}),
		streams: jobstream.Config{
			Jobs: "CAPTURE_JOBS", Subjects: []string{"capture.jobs.>"}, DLQ: "CAPTURE_DLQ",
			Consumers: []jobstream.ConsumerConfig{{Name: "capture-worker", Subjects: []string{"capture.jobs.>"}}},
			Replicas:  1, AckWait: time.Second, MaxAckPending: 1000,
		},
	}
}

// worker builds a pool of one on the shop; change may alter its processor.
func (s *shop) worker(change func(*worker.Processor)) worker.Pool {
	s.t.Helper()
	consumers, err := jobstream.Ensure(s.t.Context(), cmp.Or(s.pulls, s.js), s.streams)
	if err != nil {
		s.t.Fatal(err)
	}
	decoder, err := capture.NewDecoder(capture.Mapping{})
	if err != nil {
		s.t.Fatal(err)
	}
	log := cmp.Or(s.log, slog.New(slog.DiscardHandler))
	limiter := worker.NewGatewayLimiter(worker.GatewayLimiterConfig{Concurrency: 8, Rate: s.rate, ProbeEvery: 100 * time.Millisecond, Query: s.client.Query, Intake: s.intake, Log: log})
	p := &worker.Processor{
		Jobs: decoder, Gateway: s.client, Limiter: limiter, Delayer: worker.NewDelayPool(8, time.Now), Log: log,
		Lease: 30 * time.Second, Inline: 5 * time.Second, Rest: 5 * time.Second,
		NewRequestID: func() string { return fmt.Sprintf("request%020d", s.count()) },
		Recorder: &reconcile.Recorder{
			Ledger: s.ledger, Policy: policy, Worker: "w", Now: time.Now, Log: log,
			NewID: func() string { return fmt.Sprintf("e%d", s.count()) },
			Schedule: reconcile.Schedule{
				QuickInitial: 20 * time.Millisecond, QuickMax: 100 * time.Millisecond, QuickTotal: 5 * time.Second,
				SlowInitial: time.Second, SlowMax: time.Second,
			},
		},
	}
	if change != nil {
		change(p)
	}
	return worker.Pool{Limiter: limiter, Workers: []*worker.Worker{worker.New(worker.Config{
		Consumer: consumers[0], Processor: p, Limiter: limiter, DeadLetters: deadletter.Store{JS: s.js},
		AckWait: s.streams.AckWait, MaxInFlight: 32, ShutdownTimeout: processtest.Patience, Log: log,
		Observe: func(d worker.Disposition, _ time.Duration) {
			s.became.Store(d.Do)
			if s.observe != nil {
				s.observe(d)
			}
		},
	})}}
}

func (s *shop) count() int {
	s.ids.Lock()
	defer s.ids.Unlock()
	s.minted++
	return s.minted
}

// start runs a worker; the returned function stops it and waits.
func (s *shop) start(w worker.Pool) (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	return func() { cancel(); running.Wait() }
}

// authorize makes trades that can be captured, and publishes a job for each.
func (s *shop) authorize(ids ...string) {
	s.t.Helper()
	s.authorizeOnly(ids...)
	s.publishJobs(ids...)
}

func (s *shop) authorizeOnly(ids ...string) {
	s.t.Helper()
	for _, id := range ids {
		if err := s.sim.AddTrades(gatewaytest.Trade{TradeID: id, Amount: sum("24.99")}); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *shop) publishJobs(ids ...string) {
	s.t.Helper()
	for _, id := range ids {
		s.publish(nats.Header{}, fmt.Sprintf(`{"trade_id":%q,"amount":"24.99","currency":"EUR"}`, id))
	}
}

func (s *shop) publish(h nats.Header, body string) {
	s.t.Helper()
	m := &nats.Msg{Subject: "capture.jobs.shipped", Header: h, Data: []byte(body)}
	if _, err := s.js.PublishMsg(s.t.Context(), m); err != nil {
		s.t.Fatal(err)
	}
}

// until polls, with a bound.
func (s *shop) until(what string, done func() bool) {
	s.t.Helper()
	processtest.WaitFor(s.t, processtest.Patience, what, done)
}

// drained reports that the consumer has no job left.
func (s *shop) drained() bool {
	consumer, err := s.js.Consumer(s.t.Context(), s.streams.Jobs, s.streams.Consumers[0].Name)
	if err != nil {
		s.t.Fatal(err)
	}
	info := consumer.CachedInfo()
	return info.NumPending == 0 && info.NumAckPending == 0
}

func (s *shop) phase(trade string) capture.Phase {
	s.t.Helper()
	found, err := s.ledger.LoadLatest(s.t.Context(), trade)
	if err != nil {
		s.t.Fatal(err)
	}
	return found.State().Phase
}

func trades(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("T%d", i)
	}
	return ids
}

func TestWorkerCapturesWhatIsPublished(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Options{})
	s.worker(nil)
	s.authorize(trades(100)...)
	stop := s.start(s.worker(nil))
	s.until("all jobs done", s.drained)
	stop()
	for _, id := range trades(100) {
		if truth, _ := s.sim.Truth(id); len(truth.Captures) != 1 || s.phase(id) != capture.PhaseCaptured {
			t.Errorf("trade %s: %d captures, ledger says %s", id, len(truth.Captures), s.phase(id))
		}
	}
}

// The intent names the message that asked for it, and what that says about its
// publisher.
func TestIntentNamesItsSource(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Options{})
	s.worker(nil)
	s.authorize("T0")
	s.authorizeOnly("T1")
	header := nats.Header{}
	header.Set(deadletter.HeaderDLQStream, "CAPTURE_DLQ")
	header.Set(deadletter.HeaderDLQSequence, "7")
	header.Set(deadletter.HeaderPublishedBy, strings.Repeat("ann", 100))
	s.publish(header, `{"trade_id":"T1","amount":"24.99","currency":"EUR"}`)
	stop := s.start(s.worker(nil))
	s.until("all jobs done", s.drained)
	stop()
	for trade, want := range map[string]capture.Source{
		"T0": {Stream: "CAPTURE_JOBS", Sequence: 1},
		"T1": {Stream: "CAPTURE_JOBS", Sequence: 2, Publisher: strings.Repeat("ann", 100)[:200], DLQStream: "CAPTURE_DLQ", DLQSequence: 7},
	} {
		found, err := s.ledger.LoadLatest(t.Context(), trade)
		if err != nil || len(found.Events) == 0 {
			t.Fatalf("%d events of %s, %v", len(found.Events), trade, err)
		}
		if got := found.Events[0].Source; got == nil || *got != want {
			t.Errorf("trade %s: source %+v, want %+v", trade, got, want)
		}
	}
}

func TestMalformedJobKeepsItsBytesAndHeaders(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Options{})
	s.worker(nil)
	body := `{"trade_id":"T1","amount":"1e3","currency":"EUR"}`
	s.publish(nats.Header{"Traceparent": {"00-a"}, "Nats-Msg-Id": {"row-7"}}, body)
	stop := s.start(s.worker(nil))
	s.until("the job is done", s.drained)
	stop()
	dlq, err := s.js.Stream(t.Context(), "CAPTURE_DLQ")
	if err != nil {
		t.Fatal(err)
	}
	letter, err := dlq.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if string(letter.Data) != body || letter.Subject != "capture.dlq.bad_amount" {
		t.Errorf("letter %s: %s", letter.Subject, letter.Data)
	}
	for name, want := range map[string]string{
		"Traceparent": "00-a", deadletter.HeaderOriginal + "Nats-Msg-Id": "row-7", deadletter.HeaderReason: "bad_amount",
		deadletter.HeaderSubject: "capture.jobs.shipped", deadletter.HeaderStream: "CAPTURE_JOBS", deadletter.HeaderSequence: "1",
	} {
		if got := letter.Header.Get(name); got != want {
			t.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
	if !strings.Contains(letter.Header.Get(deadletter.HeaderDetail), "1e3") {
		t.Errorf("the detail does not say what is wrong: %q", letter.Header.Get(deadletter.HeaderDetail))
	}
	if letter.Header.Get(deadletter.HeaderTime) == "" {
		t.Error("no time")
	}
}

// A dead letter that cannot be stored keeps its job in the stream.
// refusing is a ledger whose stream is full.
type refusing struct{ ledger.Ledger }

func (refusing) Append(context.Context, capture.Event, uint64, ...ledger.AppendOption) (uint64, error) {
	return 0, errors.New("maximum bytes exceeded")
}

// While the ledger refuses, every job there is comes back: ever more slowly, and
// with few words.
func TestDelayGrowsWhileTheLedgerRefuses(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Options{})
	var mu sync.Mutex
	var rests []time.Duration
	var said bytes.Buffer
	s.log = slog.New(slog.NewTextHandler(&said, nil))
	s.observe = func(d worker.Disposition) {
		mu.Lock()
		defer mu.Unlock()
		rests = append(rests, time.Until(d.At))
	}
	stop := s.start(s.worker(func(p *worker.Processor) { p.Rest, p.Recorder.Ledger = 300*time.Millisecond, refusing{s.ledger} }))
	s.authorize("T1")
	s.until("five tries", func() bool { mu.Lock(); defer mu.Unlock(); return len(rests) >= 5 })
	stop()
	if rests[0] > 300*time.Millisecond || rests[3] < 1200*time.Millisecond || rests[4] > 3600*time.Millisecond {
		t.Errorf("it rested %v", rests)
	}
	if n := strings.Count(said.String(), "processing failed, job requeued"); n != 1 || !strings.Contains(said.String(), "trade_id=T1") {
		t.Errorf("logged %d times: %s", n, said.String())
	}
}

// A stream of jobs that is created again counts from 1 again: its dead letters are
// not duplicates of the earlier ones.
func TestDeadLettersOfANewStream(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Options{})
	for i, body := range []string{`{"first":1}`, `{"second":2}`} {
		stop := s.start(s.worker(nil))
		s.publish(nats.Header{}, body)
		s.until("the dead letter", func() bool {
			dlq, err := s.js.Stream(t.Context(), s.streams.DLQ)
			return err == nil && dlq.CachedInfo().State.Msgs == uint64(i+1)
		})
		stop()
		if err := s.js.DeleteStream(t.Context(), s.streams.Jobs); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDeadLetterThatCannotBeStored(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Options{})
	w := s.worker(nil)
	if err := s.js.DeleteStream(t.Context(), "CAPTURE_DLQ"); err != nil {
		t.Fatal(err)
	}
	s.publish(nats.Header{}, "not json")
	stop := s.start(w)
	consumer, err := s.js.Consumer(t.Context(), s.streams.Jobs, s.streams.Consumers[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	// Not that it was delivered: it may still be prefetched.
	s.until("the job was tried and requeued", func() bool { return s.became.Load() != nil })
	stop()
	if info, err := consumer.Info(t.Context()); err != nil || info.NumAckPending+int(info.NumPending) != 1 {
		t.Errorf("the job is gone: %+v, %v", info, err)
	}
	if became := s.became.Load(); became != worker.Retry {
		t.Errorf("it is counted as %v, and nothing was dead-lettered", became)
	}
}

// A job whose headers fill what the broker takes is dead-lettered too: its headers are
// in the body, and it does not come round again.
func TestDeadLetterOfFullHeaders(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Options{})
	w := s.worker(nil)
	const most = 64<<10 - 1 - len("NATS/1.0\r\n"+"X-Long: \r\n"+"\r\n")
	s.publish(nats.Header{"X-Long": {strings.Repeat("x", most)}}, `{"trade_id":"T1"}`)
	stop := s.start(w)
	s.until("the job is done", s.drained)
	stop()
	letter, err := (deadletter.Store{JS: s.js, Stream: "CAPTURE_DLQ"}).Get(t.Context(), 1)
	if err != nil || string(letter.Body) != `{"trade_id":"T1"}` || len(letter.Header.Get("X-Long")) != most || letter.Reason != "missing_field" {
		t.Errorf("%s: %s with %d bytes in its header, %v", letter.Reason, letter.Body, len(letter.Header.Get("X-Long")), err)
	}
}

// A job as large as a message may be leaves no room for what is written about
// it: it goes in two parts, and nothing of it is lost.
func TestDeadLetterThatIsTooLarge(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Options{})
	w := s.worker(nil)
	body := strings.Repeat("0123456789abcde\n", int(s.js.Conn().MaxPayload())/16)
	s.publish(nil, body)
	stop := s.start(w)
	s.until("the job is done", s.drained)
	stop()
	dlq, err := s.js.Stream(t.Context(), "CAPTURE_DLQ")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for seq, part := range map[uint64]string{1: "1/2", 2: "2/2"} {
		letter, err := dlq.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{deadletter.HeaderPart: part, deadletter.HeaderReason: "too_large", deadletter.HeaderSequence: "1"} {
			if got := letter.Header.Get(name); got != want {
				t.Errorf("part %s: header %s is %q, want %q", part, name, got, want)
			}
		}
	}
	for seq := range uint64(2) {
		letter, err := dlq.GetMsg(t.Context(), seq+1)
		if err != nil {
			t.Fatal(err)
		}
		got.Write(letter.Data)
	}
	if got.String() != body {
		t.Errorf("the parts make %d bytes, the job had %d", got.Len(), len(body))
	}
}

// A call longer than AckWait is no reason to deliver its job again.
func TestAckOfASlowCallIsExtended(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Options{Latency: 9 * time.Second})
	s.streams.AckWait = 4 * time.Second
	s.worker(nil)
	s.authorize("T1")
	stop := s.start(s.worker(nil))
	s.until("the job is done", s.drained)
	consumer, err := s.js.Consumer(t.Context(), s.streams.Jobs, s.streams.Consumers[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	if n := consumer.CachedInfo().Delivered.Consumer; n != 1 {
		t.Errorf("the job was delivered %d times", n)
	}
	stop()
}

// A stop finishes the call in flight; the jobs that wait go to another worker
// at once, not when AckWait is over.
func TestStopRequeuesPrefetched(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Options{Latency: 200 * time.Millisecond})
	s.streams.AckWait = time.Hour
	s.worker(nil)
	s.authorize(trades(60)...)
	first := s.start(s.worker(nil))
	s.until("the first captures", func() bool { return s.sim.Stats().Effects > 0 })
	first()
	second := s.start(s.worker(nil))
	s.until("all jobs done", s.drained)
	second()
	for _, id := range trades(60) {
		// One that was requeued before its call is asked about first (rule 2).
		if truth, _ := s.sim.Truth(id); len(truth.Captures) != 1 || truth.CallsTotal > 2 {
			t.Errorf("trade %s: %d captures in %d calls", id, len(truth.Captures), truth.CallsTotal)
		}
	}
	if got := s.sim.Stats().Captures; got != 60 {
		t.Errorf("%d capture calls, want one for each trade", got)
	}
}

// breaking panics for one trade.
type breaking struct{ worker.Gateway }

func (b breaking) Capture(ctx context.Context, r gateway.CaptureRequest) capture.Answer {
	if r.TradeID == "T3" {
		panic("a defect of ours")
	}
	return b.Gateway.Capture(ctx, r)
}

func TestPanicEndsNoOtherJob(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Options{})
	s.worker(nil)
	s.authorize(trades(10)...)
	stop := s.start(s.worker(func(p *worker.Processor) { p.Gateway = breaking{p.Gateway} }))
	s.until("nine captures", func() bool { return s.sim.Stats().Effects == 9 })
	stop()
	if s.drained() {
		t.Error("the job that broke us is gone")
	}
	if got := s.phase("T3"); got != capture.PhaseCalling {
		t.Errorf("its trade is %s", got)
	}
}
