package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/reconcile"
)

// Verb says what becomes of a delivery.
type Verb string

// What may become of a delivery.
const (
	Ack        Verb = "ack"         // the job is done
	Later      Verb = "later"       // deliver it again, at Disposition.At
	DeadLetter Verb = "dead-letter" // to CAPTURE_DLQ with the reason, then terminate
)

// Disposition is what becomes of a delivery, and why.
type Disposition struct {
	Do     Verb
	At     time.Time // of Later; the zero time is at once
	Reason string    // of DeadLetter: the last token of its subject; of Ack: NotSelected or ""
	Detail string    // of DeadLetter: the same in words
	Rule   string    // the row of the decision table, where one decided
	// Trouble, of Later, is what kept the job from being worked on and is not its
	// own; nil where it only waits. TradeID is the job's then.
	Trouble error
	TradeID string
}

// NotSelected is the reason of an acknowledged message that is no job of ours:
// jobs.match does not select it.
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

// acked ends a job whose trade has its outcome. Amount and currency are what a
// second job is held against; that it names another order is told, for it may
// be that somebody took the trade of a stranger.
func (p *Processor) acked(ctx context.Context, job *capture.Job, trade *reconcile.Trade, step *capture.Step) Disposition {
	if standing := trade.State.Outcome; standing != nil && job.OrderID != "" && standing.OrderID != "" && job.OrderID != standing.OrderID {
		p.Log.WarnContext(ctx, "acknowledging a job of another order than the outcome's; nothing is captured for it",
			"trade_id", job.TradeID, "order_id", job.OrderID, "outcome", string(standing.Type), "outcome_order_id", standing.OrderID)
	}
	return Disposition{Do: Ack, Rule: step.Rule}
}

// conflict explains a job that asks for something else than what stands.
func conflict(job *capture.Job, trade *reconcile.Trade, step *capture.Step) Disposition {
	standing := trade.State.Outcome
	if step.Reason == capture.ReasonWithdrawn {
		return Disposition{Do: DeadLetter, Reason: deadletter.ReasonWithdrawn, Rule: step.Rule, Detail: fmt.Sprintf(
			"the job asks for %s, but trade %s was withdrawn (event %s); `capture-worker retry` sends it back to work", job.Amount, job.TradeID, standing.ID)}
	}
	return Disposition{Do: DeadLetter, Reason: deadletter.ReasonConflict, Rule: step.Rule, Detail: fmt.Sprintf(
		"the job asks for %s, but trade %s is already %s for %s (event %s)",
		job.Amount, job.TradeID, standing.Type, standing.Sum(), standing.ID)}
}

// handBack returns a job whose processing met trouble: nothing is known to be
// wrong with the job, so it comes again.
func (p *Processor) handBack(job *capture.Job, err error) Disposition {
	if errors.Is(err, context.Canceled) {
		return Disposition{Do: Later}
	}
	d := Disposition{Do: Later, At: p.Recorder.Clock().Add(p.Rest)}
	if !errors.Is(err, ErrShut) && !errors.Is(err, ErrPaused) {
		d.Trouble, d.TradeID = err, job.TradeID
	}
	return d
}
