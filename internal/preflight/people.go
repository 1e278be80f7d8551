package preflight

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/natsconn"
	"github.com/capture-worker/capture-worker/ledger"
)

// people tells what waits for a person. That is no fault of the set-up, but
// somebody's money.
func (c *Checker) people(ctx context.Context, js jetstream.JetStream) {
	if !c.noLedger {
		c.parked(ctx, js)
	}
	if !c.isAbsent("stream " + c.Streams.DLQ) {
		c.letters(ctx, js)
	}
}

func (c *Checker) letters(ctx context.Context, js jetstream.JetStream) {
	ctx, cancel := context.WithTimeout(ctx, step)
	defer cancel()
	n, err := deadletter.Store{JS: js, Stream: c.Streams.DLQ}.Pending(ctx)
	switch {
	case err != nil:
		c.add(Warning, "jobs", "look at the server's log and the account's permissions", "dead letters cannot be counted: %v", natsconn.Explain(js.Conn(), err))
	case n == 1:
		c.add(Warning, "jobs", "look with: capture-worker dlq list", "1 dead letter waits")
	case n > 1:
		c.add(Warning, "jobs", "look with: capture-worker dlq list", "%d dead letters wait", n)
	}
}

// lookAtOnce is how many trades are looked at before it is seen whether there
// is time for more.
const lookAtOnce = 100

// parked counts for as long as one step may take: whoever checks wants to know
// that somebody must look, not how often.
func (c *Checker) parked(ctx context.Context, js jetstream.JetStream) {
	ctx, cancel := context.WithTimeout(ctx, step)
	defer cancel()
	trades := ledger.NewJetStream(js, ledger.Options{Stream: c.Config.Ledger.Stream}).FollowParked()
	more, err := true, error(nil)
	for more && err == nil {
		more, err = trades.Look(ctx, lookAtOnce)
	}
	n, least := trades.Count(), ""
	if more {
		least = "at least "
	}
	switch {
	case err != nil && ctx.Err() == nil, more && n == 0:
		c.add(Warning, "ledger", "look at the server's log and the account's permissions", "parked trades cannot be counted: %v", natsconn.Explain(js.Conn(), err))
	case n == 1:
		c.add(Warning, "ledger", "look with: capture-worker parked list", "%s1 trade is parked and needs an operator", least)
	case n > 1:
		c.add(Warning, "ledger", "look with: capture-worker parked list", "%s%d trades are parked and need an operator", least, n)
	}
}
