package preflight

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/finding"
	"github.com/capture-worker/capture-worker/internal/natsconn"
	"github.com/capture-worker/capture-worker/ledger"
)

// pending checks what needs an operator.
func (c *Checker) pending(ctx context.Context, js jetstream.JetStream) {
	if !c.noLedger && !c.isAbsent("stream "+c.Config.Ledger.Cases) {
		c.parked(ctx, js)
	}
	if !c.isAbsent("stream " + c.Streams.DLQ) {
		c.letters(ctx, js)
	}
}

func (c *Checker) letters(ctx context.Context, js jetstream.JetStream) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	n, err := deadletter.Store{JS: js, Stream: c.Streams.DLQ}.Pending(ctx)
	switch {
	case err != nil:
		c.add(finding.Warning, "jobs", "look at the server's log and the account's permissions", "dead letters cannot be counted: %v", natsconn.Explain(js.Conn(), err))
	case n == 1:
		c.add(finding.Warning, "jobs", "look with: capture-worker dlq list", "1 pending dead letter")
	case n > 1:
		c.add(finding.Warning, "jobs", "look with: capture-worker dlq list", "%d pending dead letters", n)
	}
}

// parkedBatch is how many trades are read before the time is checked.
const parkedBatch = 100

// parked counts the parked trades until stepTimeout, and then reports the number as
// a minimum.
func (c *Checker) parked(ctx context.Context, js jetstream.JetStream) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	trades := ledger.NewJetStream(js, ledger.Options{Stream: c.Config.Ledger.Stream}).Cases(c.Config.Ledger.Cases).Follow()
	more, err := true, error(nil)
	for more && err == nil {
		more, err = trades.Look(ctx, parkedBatch)
	}
	n, least := trades.Count(), ""
	if more {
		least = "at least "
	}
	switch {
	case err != nil && ctx.Err() == nil, more && n == 0:
		c.add(finding.Warning, "ledger", "look at the server's log and the account's permissions", "parked trades cannot be counted: %v", natsconn.Explain(js.Conn(), err))
	case n == 1:
		c.add(finding.Warning, "ledger", "look with: capture-worker parked list", "%s1 trade is parked and needs an operator", least)
	case n > 1:
		c.add(finding.Warning, "ledger", "look with: capture-worker parked list", "%s%d trades are parked and need an operator", least, n)
	}
}
