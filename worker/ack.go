package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/reconcile"
)

// Verb says what is done with a delivery.
type Verb string

// What may be done with a delivery. The words are labels of metrics.
const (
	Ack        Verb = "ack"         // the job is done
	Retry      Verb = "later"       // deliver it again, at Disposition.At
	DeadLetter Verb = "dead-letter" // to CAPTURE_DLQ with the reason, then terminate
)

// Disposition is what is done with a delivery, and why.
type Disposition struct {
	Do     Verb
	At     time.Time // of Retry; the zero time is at once
	Reason string    // of DeadLetter: the last token of its subject; of Ack: NotSelected or ""
	Detail string    // of DeadLetter: the same in words
	Rule   string    // the row of the decision table, if one decided
	// Err, of Retry, is what kept the job from being processed and is not its own
	// fault; nil if it only waits. TradeID is set with it.
	Err     error
	TradeID string
}

// NotSelected is the reason of an acked message that jobs.match does not select:
// it is no job of ours.
const NotSelected = "not_selected"

// unreadable sorts what the decoder refused: an event that jobs.match does not
// select is none of ours, everything else is a dead letter.
func unreadable(err error) Disposition {
	if errors.Is(err, capture.ErrNotOurs) {
		return Disposition{Do: Ack, Reason: NotSelected}
	}
	reason := "malformed"
	var malformed *capture.MalformedError
	if errors.As(err, &malformed) {
		reason = malformed.Reason
	}
	return Disposition{Do: DeadLetter, Reason: reason, Detail: err.Error()}
}

// acked ends a job whose trade has its outcome. A second job is compared by amount
// and currency; that it names another order is logged, because the trade of
// another order may have paid for it.
func (p *Processor) acked(ctx context.Context, job *capture.Job, trade *reconcile.Trade, step *capture.Step) Disposition {
	if standing := trade.State.Outcome; standing != nil && job.OrderID != "" && standing.OrderID != "" && job.OrderID != standing.OrderID {
		p.Log.WarnContext(ctx, "job acked without capture: trade belongs to another order",
			"trade_id", job.TradeID, "order_id", job.OrderID, "outcome", string(standing.Type), "outcome_order_id", standing.OrderID)
	}
	return Disposition{Do: Ack, Rule: step.Rule}
}

// conflict explains a job that asks for something other than the standing outcome.
func conflict(job *capture.Job, trade *reconcile.Trade, step *capture.Step) Disposition {
	standing := trade.State.Outcome
	if step.Reason == capture.ReasonWithdrawn {
		return Disposition{Do: DeadLetter, Reason: deadletter.ReasonWithdrawn, Rule: step.Rule, Detail: fmt.Sprintf(
			"the job asks for %s, but trade %s was withdrawn (event %s); `capture-worker retry` sends it back to work", job.Amount, job.TradeID, standing.ID)}
	}
	return Disposition{Do: DeadLetter, Reason: deadletter.ReasonConflict, Rule: step.Rule, Detail: fmt.Sprintf(
		"the job asks for %s, but trade %s is already %s for %s (event %s); one authorization allows one capture",
		request(job.Amount, job.OrderID, job.CaptureID), job.TradeID, standing.Type,
		request(standing.Sum(), standing.OrderID, standing.CaptureID), standing.ID)}
}

// request describes what a job or an outcome is about.
func request(sum capture.Amount, order, captureID string) string {
	text := sum.String()
	if order != "" {
		text += ", order " + order
	}
	if captureID != "" {
		text += ", capture_id " + captureID
	}
	return text
}

// requeue returns a job whose processing met an error: nothing is known to be
// wrong with the job, so it is redelivered.
func (p *Processor) requeue(job *capture.Job, err error) Disposition {
	if errors.Is(err, context.Canceled) {
		return Disposition{Do: Retry}
	}
	d := Disposition{Do: Retry, At: p.Recorder.Clock().Add(p.Rest)}
	if !errors.Is(err, ErrPaused) {
		d.Err, d.TradeID = err, job.TradeID
	}
	return d
}

const (
	// deadLetterDelay bounds the delay of a job whose dead letter cannot be stored.
	deadLetterDelay = 10 * time.Minute
	// errorDelays bounds the delay of a job that met an error which is not its own,
	// as a multiple of the first.
	errorDelays = 12
)

// finish sends the ack, nak or term of a disposition to the broker. It returns the
// disposition that was carried out, which is a retry if the dead letter could not
// be stored. If the broker does not receive it, the job is delivered again, and
// the ledger shows that it is done.
func (w *Worker) finish(ctx context.Context, m jetstream.Msg, d Disposition) Disposition {
	if d.Do == DeadLetter {
		stored, err := w.cfg.DeadLetters.Put(ctx, m, d.Reason, d.Detail)
		if err != nil {
			return w.finish(ctx, m, w.retryDeadLetter(ctx, m, d, err))
		}
		w.cfg.Log.WarnContext(ctx, "job dead-lettered", "reason", d.Reason, "detail", d.Detail,
			"subject", m.Subject(), "sequence", sequenceOf(m), "letter", stored)
	}
	if d.Reason == NotSelected {
		w.logUnmatched(ctx, m)
	}
	if d.Err != nil {
		d = w.requeueAfterError(ctx, m, d)
	}
	var err error
	switch d.Do {
	case Ack:
		err = m.Ack()
	case DeadLetter:
		err = m.TermWithReason(d.Reason)
	default:
		if delay := time.Until(d.At); delay > 0 {
			err = m.NakWithDelay(delay)
		} else {
			err = m.Nak()
		}
	}
	if err != nil {
		w.cfg.Log.WarnContext(ctx, "ack failed, job will be redelivered",
			"subject", m.Subject(), "verb", string(d.Do), "error", err)
	}
	return d
}

// logUnmatched logs from time to time that messages are not selected: that may be
// intended, or a mistyped jobs.match that captures nothing.
func (w *Worker) logUnmatched(ctx context.Context, m jetstream.Msg) {
	suppressed, worth := w.unmatched.Allow(NotSelected)
	if !worth {
		return
	}
	w.cfg.Log.InfoContext(ctx, "message acked, not selected by jobs.match",
		"subject", m.Subject(), "sequence", sequenceOf(m), "suppressed", suppressed)
}

// retryDeadLetter delays a job whose dead letter cannot be stored, each time for
// twice as long: an operator has to do something about it.
func (w *Worker) retryDeadLetter(ctx context.Context, m jetstream.Msg, d Disposition, err error) Disposition {
	delay := w.delay(m, deadLetterDelay)
	w.cfg.Log.ErrorContext(ctx, "dead-lettering failed, job requeued",
		"subject", m.Subject(), "sequence", sequenceOf(m), "reason", d.Reason, "error", err, "next_try_in", delay)
	return Disposition{Do: Retry, At: time.Now().Add(delay), Rule: d.Rule}
}

// requeueAfterError delays a job while something is wrong that is not its own
// fault, each time for twice as long: if the ledger is full that is every job
// there is.
func (w *Worker) requeueAfterError(ctx context.Context, m jetstream.Msg, d Disposition) Disposition {
	delay := w.delay(m, errorDelays*w.cfg.Processor.Rest)
	d.At = time.Now().Add(delay)
	text := d.Err.Error()
	kind := text[strings.LastIndex(text, ": ")+1:] // what precedes it names the trade
	if suppressed, worth := w.errors.Allow(kind); worth {
		args := []any{"trade_id", d.TradeID, "error", d.Err, "next_try_in", delay}
		if suppressed > 0 {
			args = append(args, "suppressed", suppressed)
		}
		w.cfg.Log.WarnContext(ctx, "processing failed, job requeued", args...)
	}
	return d
}

// delay is twice as long with each delivery, up to most.
func (w *Worker) delay(m jetstream.Msg, most time.Duration) time.Duration {
	delay := w.cfg.Processor.Rest
	if meta, err := m.Metadata(); err == nil {
		for range min(meta.NumDelivered-1, 16) {
			delay = min(2*delay, max(most, delay))
		}
	}
	return delay
}

// sequenceOf returns the sequence of a job in its stream, 0 if it is unknown.
func sequenceOf(m jetstream.Msg) uint64 {
	meta, err := m.Metadata()
	if err != nil {
		return 0
	}
	return meta.Sequence.Stream
}
