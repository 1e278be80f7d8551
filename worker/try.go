package worker

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// tryWait is how long a lane looks for a job to try before another lane may.
const tryWait = time.Second

// try takes one job while the intake is paused, and sees whether its call
// succeeds. It waits for nothing inside: the next job is due.
func (w *Worker) try(ctx, work context.Context, p *permit) error {
	defer p.end()
	batch, err := w.cfg.Consumer.Fetch(1, jetstream.FetchMaxWait(tryWait))
	if err != nil {
		return err
	}
	for m := range batch.Messages() {
		w.hands.change(1, 1, 0)
		processor := *w.cfg.Processor
		processor.Inline, processor.Waiter = 0, noWait{}
		processor.Intake = p.guard
		if lane, ok := processor.Gate.(interface{ probing() Turnstile }); ok {
			processor.Gate = lane.probing()
		}
		w.see(work, ctx, m, &processor, p.guard.delay)
	}
	w.health.pulled()
	return batch.Error()
}

// noWait is the Waiter of a job that is tried.
type noWait struct{}

// Wait implements Waiter.
func (noWait) Wait(context.Context, time.Time) bool { return false }
