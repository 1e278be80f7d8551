package history

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/controls"
	"github.com/capture-worker/capture-worker/internal/jobstream"
	"github.com/capture-worker/capture-worker/internal/natsconn"
)

// maxPassedOver is how many passed-over messages about one trade are printed.
const maxPassedOver = 3

// readPassedOver reads the sample of messages that workers passed over, with the
// condition as it was then. An error is passed to warn.
func (r *Reader) readPassedOver(ctx context.Context) []controls.PassedOver {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	store, err := controls.Open(ctx, r.js, r.c.Ledger.Stream)
	var sample []controls.PassedOver
	if err == nil {
		sample, err = store.PassedOver(ctx)
	}
	if err != nil && !errors.Is(err, jetstream.ErrBucketNotFound) {
		r.warn(fmt.Sprintf("could not check the messages that were passed over: %v", natsconn.Explain(r.js.Conn(), err)))
	}
	return sample
}

func passedOver(sample []controls.PassedOver, about func(controls.PassedOver) bool) (found []controls.PassedOver) {
	for _, p := range sample {
		if about(p) {
			found = append(found, p)
		}
	}
	return found
}

// correctMatch returns the advice for a passed-over message.
func correctMatch(c config.Config, p controls.PassedOver) string {
	if p.Stream == c.Withdrawals.Stream && p.Stream != "" {
		return "if it is a withdrawal, correct withdrawals.match and publish it again"
	}
	return "if it is a job, correct jobs.match and publish it again"
}

// passedOver returns a line for each sampled message about it; found reports
// whether there is any.
func (l jobLookup) passedOver() (lines []string, found bool) {
	for _, p := range passedOver(l.sample, func(p controls.PassedOver) bool { return l.means(p.TradeID, p.OrderID) }) {
		lines = append(lines, p.String()+"; "+correctMatch(l.c, p))
	}
	return lines, len(lines) > 0
}

// notTaken returns the line of a message about it that jobs.match, as it is
// configured here, does not take; "" for any other message and for those of the
// sample. err is that of decoding the message, waits that it was not delivered.
func (l jobLookup) notTaken(m jobstream.Message, err error, waits bool) string {
	unmet, ok := errors.AsType[*capture.MatchError](err)
	if !ok {
		return ""
	}
	p := controls.PassedOver{Stream: l.c.Jobs.Stream, Sequence: m.Sequence, Published: m.Stored, Why: *unmet}
	p.TradeID, p.OrderID = l.dec.Hint(m.Header, m.Body)
	switch {
	case !l.means(p.TradeID, p.OrderID) || len(passedOver(l.sample, p.SameMessage)) > 0:
		return ""
	case waits:
		return fmt.Sprintf("message %d of %s waits and will not be taken as a job: %s; %s", p.Sequence, p.Stream, unmet.Text(), correctMatch(l.c, p))
	}
	return p.String() + "; " + correctMatch(l.c, p)
}

// PassedOverAbout returns a line for each sampled message about an order that
// names none of its trades.
func (r *Reader) PassedOverAbout(order string, trades map[string]bool) []string {
	var lines []string
	for _, p := range r.passed() {
		if p.OrderID == order && !trades[p.TradeID] {
			lines = append(lines, fmt.Sprintf("about the order too: %s; %s", p, correctMatch(r.c, p)))
		}
	}
	return lines
}
