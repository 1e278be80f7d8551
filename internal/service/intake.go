package service

import (
	"context"
	"log/slog"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/controls"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/worker"
)

// newIntake returns the Intake that pauses jobs while the gateway refuses different
// trades for a fault of ours.
func newIntake(c config.Config, stored *ledger.JetStream, query func(context.Context, string) capture.Answer, ready broker, log *slog.Logger) *worker.Intake {
	return worker.NewIntake(worker.IntakeConfig{
		Run: c.Worker.RefusalRun, ProbeEvery: c.Worker.ProbeInterval, Settle: c.Reconcile.Settle, Most: maxTried(ready.consumers),
		Query: query, Ledger: stored, Accepted: ready.control.Codes, Log: log,
	})
}

// maxTried is the number of refused jobs that may wait while the intake is paused:
// half of the smallest max_ack_pending, so that other jobs are still delivered.
func maxTried(consumers []jetstream.Consumer) int {
	limit := 0
	for _, consumer := range consumers {
		if n := consumer.CachedInfo().Config.MaxAckPending / 2; n > 0 && (limit == 0 || n < limit) {
			limit = n
		}
	}
	return limit
}

// NewLedgerGuard returns the guard that checks whether the ledger has lost events.
func NewLedgerGuard(c config.Config, js jetstream.JetStream, stored *ledger.JetStream, decoder *capture.Decoder, control *controls.Store, log *slog.Logger) *controls.LedgerGuard {
	return &controls.LedgerGuard{
		JS: js, Streams: Streams(c), Stream: c.Ledger.Stream, Ledger: stored, Jobs: decoder, Control: control,
		Worker: c.Worker.Name, Log: log,
	}
}
