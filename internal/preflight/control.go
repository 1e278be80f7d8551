package preflight

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/internal/controls"
	"github.com/capture-worker/capture-worker/internal/finding"
	"github.com/capture-worker/capture-worker/internal/natsconn"
)

// control checks what operators accepted, and what they have to accept.
func (c *Checker) control(ctx context.Context, js jetstream.JetStream) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	control, err := controls.Open(ctx, js, c.Config.Ledger.Stream)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		c.missing("jobs", "stream "+controls.Stream)
		return
	}
	var loss *controls.LedgerLoss
	var codes map[string]controls.Acceptance
	if err == nil {
		loss, err = control.Loss(ctx)
	}
	if err == nil {
		codes, err = control.Codes(ctx)
	}
	if err != nil {
		c.add(finding.Warning, "jobs", "look at the server's log and the account's permissions", "what operators accept cannot be read: %v", natsconn.Explain(js.Conn(), err))
		return
	}
	if loss != nil && loss.Accepted == nil {
		c.add(finding.Warning, "ledger", "reconcile, then `capture-worker resume --ledger`; see CaptureLedgerBehind in docs/operations.md",
			"stream %s is behind its jobs: consumer %s has acked %d that it does not hold (the newest has sequence %d); first calls ask Order Query before",
			c.Config.Ledger.Stream, loss.Consumer, loss.Jobs, loss.Sequence)
	}
	for code, a := range codes {
		if time.Now().Before(a.Until) {
			c.add(finding.OK, "jobs", "", "refusals with code %s are accepted until %s, by %s", code, a.Until.Format(time.RFC3339), a.By)
		}
	}
}
