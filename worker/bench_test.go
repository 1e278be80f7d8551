package worker_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nuid"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/reconcile"
	"github.com/capture-worker/capture-worker/worker"
)

// payingGateway answers every capture as paid, at no cost.
type payingGateway struct{}

func (payingGateway) Capture(_ context.Context, r gateway.CaptureRequest) capture.Answer {
	return capture.Answer{
		Kind: capture.AnswerDone, Code: capture.CodeSuccess, Why: "paid", HTTPStatus: 200,
		Order: &capture.Order{TradeID: r.TradeID, State: capture.OrderPaid, Amount: r.Amount},
	}
}

func (payingGateway) Query(context.Context, string) capture.Answer {
	return capture.Answer{Kind: capture.AnswerUnknown, Why: "unexpected query"}
}

// BenchmarkProcess is what a usual job costs of our own: all but the network,
// on a ledger in memory, with the log written and thrown away.
func BenchmarkProcess(b *testing.B) {
	b.ReportAllocs()
	decoder, err := capture.NewDecoder(capture.Mapping{})
	if err != nil {
		b.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	p := &worker.Processor{
		Jobs: decoder,
		Recorder: &reconcile.Recorder{
			Ledger: &ledger.Memory{}, Policy: policy, Worker: "bench", Now: time.Now, NewID: nuid.Next, Log: log,
		},
		Gateway: payingGateway{}, Limiter: worker.NewGatewayLimiter(worker.GatewayLimiterConfig{Concurrency: 64, Log: log}),
		Lease: 65 * time.Second, Inline: 15 * time.Second, Rest: 5 * time.Second,
		Delayer: worker.NewDelayPool(10, time.Now), NewRequestID: gateway.NewRequestID, Log: log,
	}
	n := 0
	for b.Loop() {
		n++
		body := fmt.Appendf(nil, `{"trade_id":"T%d","amount":"24.99","currency":"EUR","order_id":"A-%d"}`, n, n)
		d := p.Process(b.Context(), b.Context(), worker.Delivery{Body: body, First: true})
		if d.Do != worker.Ack {
			b.Fatalf("job %d: %+v", n, d)
		}
	}
}
