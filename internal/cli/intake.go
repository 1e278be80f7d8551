package cli

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

// newIntake builds what pauses the intake of jobs for a fault of ours.
func newIntake(c config.Config, stored *ledger.JetStream, query func(context.Context, string) capture.Answer, ready broker, log *slog.Logger) *worker.Intake {
	return worker.NewIntake(worker.IntakeConfig{
		Run: c.Worker.RefusalRun, ProbeEvery: c.Worker.ProbeInterval, Settle: c.Reconcile.Settle, Most: mostTried(ready.consumers),
		Query: query, Ledger: stored, Accepted: ready.control.Codes, Log: log,
	})
}

// mostTried is how many refused jobs may wait while the intake is paused: half of
// what the tightest consumer lets wait, so that a healthy one is delivered still.
func mostTried(consumers []jetstream.Consumer) int {
	most := 0
	for _, consumer := range consumers {
		if n := consumer.CachedInfo().Config.MaxAckPending / 2; n > 0 && (most == 0 || n < most) {
			most = n
		}
	}
	return most
}

// newLedgerGuard builds what finds out whether the ledger has lost events.
func newLedgerGuard(c config.Config, js jetstream.JetStream, stored *ledger.JetStream, decoder *capture.Decoder, control *controls.Store, log *slog.Logger) *controls.LedgerGuard {
	return &controls.LedgerGuard{
		JS: js, Streams: streamsOf(c), Stream: c.Ledger.Stream, Ledger: stored, Jobs: decoder, Control: control,
		Worker: c.Worker.Name, Log: log,
	}
}
