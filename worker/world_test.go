package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/reconcile"
	"github.com/capture-worker/capture-worker/worker"
)

// world is everything around a Processor, small and in memory, for use inside
// a synctest bubble.
type world struct {
	t       *testing.T
	gateway *tinyGateway
	ledger  ledger.Ledger
	minted  int
	ids     int
	mu      sync.Mutex
}

var policy = capture.Policy{Settle: 45 * time.Second, Agree: 2, Spacing: 5 * time.Second, GiveUpAfter: 72 * time.Hour}

func newWorld(t *testing.T) *world {
	return &world{t: t, gateway: newTinyGateway(), ledger: &ledger.Memory{}}
}

// processor is a worker's worth of production code, with what is random made
// countable.
func (w *world) processor(name string) *worker.Processor {
	decoder, err := capture.NewDecoder(capture.Mapping{})
	if err != nil {
		w.t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	return &worker.Processor{
		Jobs: decoder,
		Recorder: &reconcile.Recorder{
			Ledger: w.ledger, Policy: policy, Worker: name, Now: time.Now, Log: log,
			Schedule: reconcile.Schedule{
				QuickInitial: 500 * time.Millisecond, QuickMax: 10 * time.Second, QuickTotal: 15 * time.Second,
				SlowInitial: 15 * time.Second, SlowMax: 15 * time.Minute,
			},
			NewID: func() string { return fmt.Sprintf("e%d", w.count(&w.ids)) },
		},
		Gateway: w.gateway, Limiter: passAll{}, Lease: 65 * time.Second, Inline: 15 * time.Second, Rest: 5 * time.Second,
		Delayer:      worker.NewDelayPool(10, time.Now),
		NewRequestID: func() string { return fmt.Sprintf("request%020d", w.count(&w.minted)) },
		Log:          log,
	}
}

func (w *world) count(n *int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	*n++
	return *n
}

// types lists a trade's events.
func (w *world) types(trade string) []capture.EventType {
	w.t.Helper()
	var types []capture.EventType
	for _, e := range w.events(trade) {
		types = append(types, e.Type)
	}
	return types
}

func (w *world) events(trade string) []capture.Event {
	w.t.Helper()
	loaded, err := w.ledger.LoadLatest(context.Background(), trade)
	if err != nil {
		w.t.Fatal(err)
	}
	return loaded.Events
}

// redeliver delivers a job again and again, as the broker would, until it is
// acked or dead-lettered. It fails the test when that takes a simulated month.
func (w *world) redeliver(p *worker.Processor, body string, first bool) worker.Disposition {
	w.t.Helper()
	for begin := time.Now(); time.Since(begin) < 30*24*time.Hour; first = false {
		d := p.Process(w.t.Context(), w.t.Context(), worker.Delivery{Body: []byte(body), First: first})
		if d.Do != worker.Retry {
			return d
		}
		time.Sleep(max(time.Until(d.At), time.Second))
	}
	w.t.Fatal("the job did not end within a month")
	return worker.Disposition{}
}

// passAll lets everything through.
type passAll struct{}

func (passAll) Acquire(ctx context.Context) (func(), error) { return func() {}, ctx.Err() }

func (passAll) Begin(context.Context) (func(capture.Answer), error) {
	return func(capture.Answer) {}, nil
}

// callThrough makes a call in a slot of a limiter.
func callThrough(ctx context.Context, l worker.Limiter, call func(context.Context) capture.Answer) (answer capture.Answer) {
	end, err := l.Begin(ctx)
	if err != nil {
		return capture.Answer{Kind: capture.AnswerNotSent, Why: err.Error()}
	}
	defer func() { end(answer) }()
	return call(ctx)
}

// tinyGateway is a gateway with one authorization per trade. Answers to
// capture calls may be scripted: "before" and "after" say whether the capture
// took effect although the answer does not say so.
type tinyGateway struct {
	mu       sync.Mutex
	script   []string
	captures map[string][]gateway.CaptureRequest // every call
	effects  map[string]capture.Amount           // what was taken
	queries  int
	asked    map[string]int // queries by trade
	slow     time.Duration
	// shown is the authorized sum that a query shows.
	shown capture.Amount
}

func sum(number string) capture.Amount {
	a, err := capture.ParseAmount(number, "EUR")
	if err != nil {
		panic(err)
	}
	return a
}

func newTinyGateway() *tinyGateway {
	return &tinyGateway{captures: map[string][]gateway.CaptureRequest{}, effects: map[string]capture.Amount{}, asked: map[string]int{}, shown: sum("24.99")}
}

func (g *tinyGateway) Capture(ctx context.Context, r gateway.CaptureRequest) capture.Answer {
	time.Sleep(g.slow)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.captures[r.TradeID] = append(g.captures[r.TradeID], r)
	what := "done"
	if len(g.script) > 0 {
		what, g.script = g.script[0], g.script[1:]
	}
	if what == "fault" {
		return capture.Answer{Kind: capture.AnswerRefused, Code: capture.CodeSignature}
	}
	if what == "done" || what == "-1000 after" || what == "timeout after" {
		if _, taken := g.effects[r.TradeID]; taken {
			return capture.Answer{Kind: capture.AnswerRefused, Code: capture.CodeTradeID}
		}
		g.effects[r.TradeID] = r.Amount
	}
	switch what {
	case "done":
		return capture.Answer{Kind: capture.AnswerDone, Code: capture.CodeSuccess,
			Order: &capture.Order{TradeID: r.TradeID, State: capture.OrderPaid, Amount: r.Amount}}
	case "-1000 before", "-1000 after":
		return capture.Answer{Kind: capture.AnswerUnknown, Code: capture.CodeInternal}
	case "not sent":
		return capture.Answer{Kind: capture.AnswerNotSent}
	case "-4084":
		g.shown = sum("20.00")
		return capture.Answer{Kind: capture.AnswerRefused, Code: capture.CodeAmountExceeded}
	}
	return capture.Answer{Kind: capture.AnswerUnknown, Why: what}
}

func (g *tinyGateway) Query(ctx context.Context, tradeID string) capture.Answer {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.queries++
	g.asked[tradeID]++
	order := &capture.Order{TradeID: tradeID, State: capture.OrderAuthorized, Amount: g.shown}
	if amount, taken := g.effects[tradeID]; taken {
		order.State, order.Amount = capture.OrderPaid, amount
	}
	return capture.Answer{Kind: capture.AnswerDone, Code: capture.CodeSuccess, Order: order}
}

var errCrash = errors.New("crash")
