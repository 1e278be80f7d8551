package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/controls"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/reconcile"
)

// Verb is what is done with a delivery.
type Verb string

// The verbs. They are label values of metrics.
const (
	Ack        Verb = "ack"         // the job is done
	Retry      Verb = "later"       // deliver it again, at Disposition.At
	DeadLetter Verb = "dead-letter" // to CAPTURE_DLQ with the reason, then terminate
)

// Disposition is what is done with a delivery, and why.
type Disposition struct {
	Do     Verb
	At     time.Time // when to redeliver, for Retry; the zero time is at once
	Reason string    // for DeadLetter the last token of its subject; for Ack NotSelected or ""
	Detail string    // for DeadLetter the reason in words
	Rule   string    // the row of the decision table, if one decided
	// Err is the error that prevented the processing of a job that is retried and
	// is not at fault; nil if the job only waits. TradeID is set with it.
	Err     error
	TradeID string
	// PassedOver is the message if the reason is NotSelected.
	PassedOver *controls.PassedOver
}

// NotSelected is the reason of an acked message that jobs.match does not select.
const NotSelected = "not_selected"

// unreadable returns the disposition of a message that the decoder refused: an
// event that jobs.match does not select is acked, anything else is a dead letter.
func (p *Processor) unreadable(d Delivery, err error) Disposition {
	if unmet, ok := errors.AsType[*capture.MatchError](err); ok {
		passed := &controls.PassedOver{Why: *unmet}
		passed.TradeID, passed.OrderID = p.Jobs.Hint(d.Header, d.Body)
		return Disposition{Do: Ack, Reason: NotSelected, PassedOver: passed}
	}
	reason := "malformed"
	var malformed *capture.MalformedError
	if errors.As(err, &malformed) {
		reason = malformed.Reason
	}
	return Disposition{Do: DeadLetter, Reason: reason, Detail: err.Error()}
}

// acked acks a job whose trade has an outcome. Only amount and currency of a second
// job are compared; if it names another order, that is logged, because that order
// may not be paid.
func (p *Processor) acked(ctx context.Context, job *capture.Job, trade *reconcile.Trade, step *capture.Step) Disposition {
	if standing := trade.State.Outcome; standing != nil && job.OrderID != "" && standing.OrderID != "" && job.OrderID != standing.OrderID {
		p.Log.WarnContext(ctx, "job acked without capture: trade belongs to another order",
			"trade_id", job.TradeID, "order_id", job.OrderID, "outcome", string(standing.Type), "outcome_order_id", standing.OrderID)
	}
	return Disposition{Do: Ack, Rule: step.Rule}
}

// conflict dead-letters a job whose request contradicts the outcome.
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

// requeue retries a job whose processing failed with an error that is not the job's
// fault.
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
	// deadLetterDelay is the longest delay of a job whose dead letter cannot be
	// stored.
	deadLetterDelay = 10 * time.Minute
	// errorDelays limits the delay of a job after errors that are not its fault, as
	// a multiple of the first delay.
	errorDelays = 12
)

// finish sends the ack, nak or term of a disposition to the broker. It returns the
// disposition that was carried out, which is a retry if the dead letter could not
// be stored. If the broker does not receive it, the job is redelivered, and the
// ledger shows that it is done.
func (w *Worker) finish(ctx context.Context, m jetstream.Msg, d Disposition) Disposition {
	if d.Do == DeadLetter {
		stored, err := w.cfg.DeadLetters.Put(ctx, m, d.Reason, d.Detail)
		if err != nil {
			return w.finish(ctx, m, w.retryDeadLetter(ctx, m, d, err))
		}
		w.cfg.Log.WarnContext(ctx, "job dead-lettered", "reason", d.Reason, "detail", d.Detail,
			"subject", m.Subject(), "sequence", sequenceOf(m), "letter", stored)
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

// retryDeadLetter delays a job whose dead letter cannot be stored. The delay
// doubles each time, because an operator has to fix the cause.
func (w *Worker) retryDeadLetter(ctx context.Context, m jetstream.Msg, d Disposition, err error) Disposition {
	delay := w.delay(m, deadLetterDelay)
	w.cfg.Log.ErrorContext(ctx, "dead-lettering failed, job requeued",
		"subject", m.Subject(), "sequence", sequenceOf(m), "reason", d.Reason, "error", err, "next_try_in", delay)
	return Disposition{Do: Retry, At: time.Now().Add(delay), Rule: d.Rule}
}

// requeueAfterError delays a job after an error that is not its fault. The delay
// doubles each time: with a full ledger, for example, it concerns every job.
func (w *Worker) requeueAfterError(ctx context.Context, m jetstream.Msg, d Disposition) Disposition {
	delay := w.delay(m, errorDelays*w.cfg.Processor.Rest)
	d.At = time.Now().Add(delay)
	text := d.Err.Error()
	kind := text[strings.LastIndex(text, ": ")+1:] // the text before it names the trade
	if suppressed, worth := w.errors.Allow(kind); worth {
		args := []any{"trade_id", d.TradeID, "error", d.Err, "next_try_in", delay}
		if suppressed > 0 {
			args = append(args, "suppressed", suppressed)
		}
		w.cfg.Log.WarnContext(ctx, "processing failed, job requeued", args...)
	}
	return d
}

// delay returns a delay that doubles with each delivery, up to most.
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
