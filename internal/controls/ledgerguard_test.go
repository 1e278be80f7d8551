package controls_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/controls"
	"github.com/capture-worker/capture-worker/internal/jobstream"
	"github.com/capture-worker/capture-worker/internal/natstest"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, processtest.Leftovers()) }

// broker is an embedded server with the streams of jobs and ledger.
type broker struct {
	t      *testing.T
	js     jetstream.JetStream
	ledger ledger.Ledger
	cfg    jobstream.Config
}

func newBroker(t *testing.T) *broker {
	t.Helper()
	js := natstest.JetStream(t)
	if _, err := ledger.EnsureStream(t.Context(), js, ledger.StreamConfig{}); err != nil {
		t.Fatal(err)
	}
	b := &broker{t: t, js: js, ledger: ledger.NewJetStream(js, ledger.Options{}), cfg: jobstream.Config{
		Jobs: "CAPTURE_JOBS", Subjects: []string{"capture.jobs.>"}, DLQ: "CAPTURE_DLQ",
		Consumers: []jobstream.ConsumerConfig{{Name: "capture-worker", Subjects: []string{"capture.jobs.>"}}},
		Replicas:  1, AckWait: time.Second, MaxAckPending: 1000,
	}}
	if _, err := jobstream.Ensure(t.Context(), js, b.cfg); err != nil {
		t.Fatal(err)
	}
	return b
}

// until polls, with a bound.
func (s *broker) until(what string, done func() bool) {
	s.t.Helper()
	processtest.WaitFor(s.t, processtest.Patience, what, done)
}

// lossGuard is the guard of a worker that starts on the shop now.
func (s *broker) lossGuard() *controls.LedgerGuard {
	s.t.Helper()
	control, problems, err := controls.Ensure(s.t.Context(), s.js, ledger.DefaultStream, 1, nil)
	if err != nil || len(problems) > 0 {
		s.t.Fatalf("the control bucket: %v, %v", problems, err)
	}
	decoder, err := capture.NewDecoder(capture.Mapping{Match: []capture.Match{{Path: "kind", Value: "job"}}})
	if err != nil {
		s.t.Fatal(err)
	}
	g := &controls.LedgerGuard{
		JS: s.js, Streams: s.cfg, Stream: ledger.DefaultStream, Ledger: s.ledger, Jobs: decoder, Control: control,
		Worker: "w", Log: slog.New(slog.DiscardHandler),
	}
	g.Start(s.t.Context())
	return g
}

// job publishes a job of the kind that the guard selects, and has it delivered:
// with ack it is done, without it waits.
func (s *broker) delivered(body string, ack bool) {
	s.t.Helper()
	if _, err := s.js.Publish(s.t.Context(), "capture.jobs.shipped", []byte(body)); err != nil {
		s.t.Fatal(err)
	}
	c, err := s.js.Consumer(s.t.Context(), s.cfg.Jobs, s.cfg.Consumers[0].Name)
	if err != nil {
		s.t.Fatal(err)
	}
	m, err := c.Next(jetstream.FetchMaxWait(5 * time.Second))
	if err != nil {
		s.t.Fatal(err)
	}
	if ack {
		err = m.DoubleAck(s.t.Context())
	} else {
		err = m.NakWithDelay(time.Hour)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func jobOfKind(trade string) string {
	return fmt.Sprintf(`{"kind":"job","trade_id":%q,"amount":"24.99","currency":"EUR"}`, trade)
}

// known puts a trade into the ledger.
func (s *broker) known(trade string) {
	s.t.Helper()
	e := capture.Event{ID: "e-" + trade, Type: capture.Captured, TradeID: capture.TradeKey(trade), Time: time.Now(), Worker: "w"}
	if _, err := s.ledger.Append(s.t.Context(), e, 0); err != nil {
		s.t.Fatal(err)
	}
}

func TestLedgerBehindItsJobs(t *testing.T) {
	t.Parallel()
	const uuid = "160899F3-F6D9-A8D8-AB5B-82EACDAB9C5B"
	for name, tt := range map[string]struct {
		meet func(*broker)
		want bool
	}{
		"nothing yet":             {func(*broker) {}, false},
		"all is known":            {func(s *broker) { s.known("A"); s.delivered(jobOfKind("A"), true) }, false},
		"known by its key":        {func(s *broker) { s.known(uuid); s.delivered(jobOfKind(uuid), true) }, false},
		"done and not known":      {func(s *broker) { s.known("A"); s.delivered(jobOfKind("A"), true); s.delivered(jobOfKind("B"), true) }, true},
		"a dead letter":           {func(s *broker) { s.delivered(`{"kind":"job","trade_id":"no.id"}`, true) }, false},
		"passed over":             {func(s *broker) { s.delivered(`{"kind":"other","trade_id":"B","amount":"1","currency":"EUR"}`, true) }, false},
		"a second job, later":     {func(s *broker) { s.known("A"); s.delivered(jobOfKind("A"), true); s.delivered(jobOfKind("A"), true) }, false},
		"requeued, not begun":     {func(s *broker) { s.delivered(jobOfKind("B"), false) }, false},
		"done behind one waiting": {func(s *broker) { s.delivered(jobOfKind("A"), false); s.delivered(jobOfKind("B"), true) }, true},
		"known behind one waiting": {func(s *broker) {
			s.known("B")
			s.delivered(jobOfKind("A"), false)
			s.delivered(jobOfKind("B"), true)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newBroker(t)
			tt.meet(s)
			if got := s.lossGuard().Behind(); got != tt.want {
				t.Errorf("behind: %t, want %t", got, tt.want)
			}
		})
	}
}

// What was found is not forgotten until an operator accepts it, which all workers
// hear of; then the same is not found again, and another loss is.
func TestLedgerLossIsAccepted(t *testing.T) {
	t.Parallel()
	s := newBroker(t)
	control, _, err := controls.Ensure(t.Context(), s.js, ledger.DefaultStream, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	early := s.lossGuard()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { early.Run(ctx, 20*time.Millisecond) })
	defer running.Wait()
	defer cancel()
	a := controls.Acceptance{By: "ops", Reason: "reconciled", At: time.Now()}
	if err := control.AcceptLoss(t.Context(), a, controls.LedgerMark{}); !errors.Is(err, controls.ErrNoLoss) {
		t.Errorf("accepting a loss that was not found: %v, want ErrNoLoss", err)
	}
	s.delivered(jobOfKind("lost"), true)
	found := s.lossGuard()
	if !found.Behind() {
		t.Fatal("the loss was not found")
	}
	s.until("the other worker hears of it", early.Behind)
	for n := range 100 { // so many that the lost one is not looked at any more
		s.known(fmt.Sprint("later-", n))
		s.delivered(jobOfKind(fmt.Sprint("later-", n)), true)
	}
	if !s.lossGuard().Behind() {
		t.Error("a restart forgot it")
	}
	mark, err := found.Mark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := control.AcceptLoss(t.Context(), a, mark); err != nil {
		t.Fatal(err)
	}
	s.until("the other worker hears that it is accepted", func() bool { return !early.Behind() })
	if s.lossGuard().Behind() {
		t.Error("it is found again though it was accepted")
	}
	s.delivered(jobOfKind("lost again"), true)
	s.delivered(jobOfKind("lost-again"), true)
	if !s.lossGuard().Behind() {
		t.Error("another loss was not found")
	}
}

// Operators on two machines accept codes at once: both count, for one ledger.
func TestAcceptedCodes(t *testing.T) {
	t.Parallel()
	s := newBroker(t)
	open := func(stream string) *controls.Store {
		c, _, err := controls.Ensure(t.Context(), s.js, stream, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	now := time.Now()
	var both sync.WaitGroup
	for _, code := range []string{capture.CodeTradeID, capture.CodeFieldMissing} {
		both.Go(func() {
			if err := open("CAPTURES").AcceptCode(t.Context(), code, controls.Acceptance{By: "ops", At: now, Until: now.Add(time.Hour)}); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	codes, err := open("CAPTURES").Codes(t.Context())
	if err != nil || len(codes) != 2 || codes[capture.CodeTradeID].By != "ops" {
		t.Errorf("%v, %v", codes, err)
	}
	if codes, err := open("OTHERS").Codes(t.Context()); err != nil || len(codes) != 0 {
		t.Errorf("of another ledger: %v, %v", codes, err)
	}
}
