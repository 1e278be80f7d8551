package worker

import (
	"context"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// dispose turns a disposition into what the broker understands, and returns
// what became of the delivery: a job stays in the stream until its dead letter
// is stored. A signal that is lost costs a redelivery, which the ledger absorbs.
func (w *Worker) dispose(ctx context.Context, m jetstream.Msg, d Disposition) Disposition {
	if d.Do == DeadLetter {
		letter, err := w.cfg.DeadLetters.Put(ctx, m, d.Reason, d.Detail)
		if err != nil {
			return w.dispose(ctx, m, w.letterLater(ctx, m, d, err))
		}
		w.cfg.Log.WarnContext(ctx, "a job is a dead letter now", "reason", d.Reason, "detail", d.Detail,
			"subject", m.Subject(), "sequence", sequenceOf(m), "letter", letter)
	}
	if d.Reason == NotSelected {
		w.passOver(ctx, m)
	}
	if d.Trouble != nil {
		d = w.troubled(ctx, m, d)
	}
	var err error
	switch d.Do {
	case Ack:
		err = m.Ack()
	case DeadLetter:
		err = m.TermWithReason(d.Reason)
	default:
		if rest := time.Until(d.At); rest > 0 {
			err = m.NakWithDelay(rest)
		} else {
			err = m.Nak()
		}
	}
	if err != nil {
		w.cfg.Log.WarnContext(ctx, "the broker was not told what became of a job; it will be delivered again",
			"subject", m.Subject(), "verb", string(d.Do), "error", err)
	}
	return d
}

// passOver tells now and then of what is not selected: that may be as it should
// be, or a mistyped jobs.match that captures nothing.
func (w *Worker) passOver(ctx context.Context, m jetstream.Msg) {
	unsaid, worth := w.passed.Allow(NotSelected)
	if !worth {
		return
	}
	w.cfg.Log.InfoContext(ctx, "jobs.match does not select a message; it is acknowledged and passed over",
		"subject", m.Subject(), "sequence", sequenceOf(m), "suppressed", unsaid)
}

// letterLater lets a job whose dead letter cannot be stored rest, each time for
// twice as long: a person has to do something about it.
func (w *Worker) letterLater(ctx context.Context, m jetstream.Msg, d Disposition, err error) Disposition {
	rest := w.rest(m, letterRest)
	w.cfg.Log.ErrorContext(ctx, "a job could not be dead-lettered and stays in its stream",
		"subject", m.Subject(), "sequence", sequenceOf(m), "reason", d.Reason, "error", err, "next_try_in", rest)
	return Disposition{Do: Later, At: time.Now().Add(rest), Rule: d.Rule}
}

// troubled lets a job rest while something is wrong that is not its own, each
// time for twice as long: where the ledger is full that is every job there is.
func (w *Worker) troubled(ctx context.Context, m jetstream.Msg, d Disposition) Disposition {
	rest := w.rest(m, troubleRests*w.cfg.Processor.Rest)
	d.At = time.Now().Add(rest)
	text := d.Trouble.Error()
	kind := text[strings.LastIndex(text, ": ")+1:] // what precedes it names the trade
	if unsaid, worth := w.said.Allow(kind); worth {
		args := []any{"trade_id", d.TradeID, "error", d.Trouble, "next_try_in", rest}
		if unsaid > 0 {
			args = append(args, "suppressed", unsaid)
		}
		w.cfg.Log.WarnContext(ctx, "handing the job back", args...)
	}
	return d
}

// rest is twice as long with each delivery, up to most.
func (w *Worker) rest(m jetstream.Msg, most time.Duration) time.Duration {
	rest := w.cfg.Processor.Rest
	if meta, err := m.Metadata(); err == nil {
		for range min(meta.NumDelivered-1, 16) {
			rest = min(2*rest, max(most, rest))
		}
	}
	return rest
}

// sequenceOf is a job's place in its stream, 0 where it cannot be told.
func sequenceOf(m jetstream.Msg) uint64 {
	meta, err := m.Metadata()
	if err != nil {
		return 0
	}
	return meta.Sequence.Stream
}
