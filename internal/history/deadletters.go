package history

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/printable"
)

const (
	// deadLetterTimeout limits the read of the dead letters about a trade. A thousand
	// may have a gigabyte.
	deadLetterTimeout = 20 * time.Second
	// lookTimeout limits a short look: for the mapping of the workers, or the sample
	// of what they passed over.
	lookTimeout = 5 * time.Second
	// maxDeadLetters is how many of a trade are printed; the rest is counted.
	maxDeadLetters = 3
)

// DeadLetter is a dead letter and what operators did about it.
type DeadLetter struct {
	Seq    uint64    `json:"seq"`
	Time   time.Time `json:"time"`
	Reason string    `json:"reason"`
	// Trade, Order and the amount are what the job seems to be about; it may be
	// unreadable.
	Trade       string                    `json:"trade_id,omitempty"`
	Order       string                    `json:"order_id,omitempty"`
	Amount      string                    `json:"amount,omitempty"`
	Currency    string                    `json:"currency,omitempty"`
	Subject     string                    `json:"subject"`
	Detail      string                    `json:"detail"`
	Republished *deadletter.Republication `json:"republished,omitempty"`
	Dismissed   *deadletter.Dismissal     `json:"dismissed,omitempty"`

	stream   string // where the job was published
	sequence uint64 // of the job in that stream
}

// Sum returns the amount that the job seems to ask for, the zero Amount if it is not
// known.
func (d DeadLetter) Sum() capture.Amount {
	sum, err := capture.ReadAmount(d.Amount, d.Currency)
	if err != nil {
		return capture.Amount{}
	}
	return sum
}

// WalkDeadLetters calls each with every dead letter that comes after a sequence, the
// oldest first.
func WalkDeadLetters(ctx context.Context, box deadletter.Store, dec *capture.Decoder, after uint64, each func(DeadLetter) error) error {
	handled, err := box.Resolutions(ctx)
	if err != nil {
		return err
	}
	for l, err := range box.Messages(ctx, after) {
		if err != nil {
			return err
		}
		d := DeadLetter{Seq: l.Seq, Time: l.Stored.UTC(), Reason: l.Reason, Subject: l.Subject, Detail: Detail(l), stream: l.Stream, sequence: l.Sequence}
		d.Trade, d.Order = dec.Hint(l.Header, l.Body)
		sum := dec.HintAmount(l.Header, l.Body)
		d.Amount, d.Currency = sum.Number(), sum.Currency()
		d.Republished, d.Dismissed = handled[l.Seq].Republished, handled[l.Seq].Dismissed
		if err := each(d); err != nil {
			return err
		}
	}
	return nil
}

// Detail returns what is wrong with the job of a dead letter, without its reason.
func Detail(l deadletter.Message) string {
	detail := strings.TrimPrefix(l.Detail, "malformed job ("+l.Reason+"): ")
	if l.Part != "" {
		detail = "part " + l.Part + " of a job too large for one dead letter: " + detail
	}
	return detail
}

// Pending reports whether nothing was done about the dead letter yet.
func (d DeadLetter) Pending() bool { return d.Republished == nil && d.Dismissed == nil }

// name returns how the dead letter is referred to in text.
func (d DeadLetter) name() string {
	return fmt.Sprintf("dead letter %d (%s, %s UTC)", d.Seq, d.Reason, d.Time.Format(time.DateTime))
}

// hint returns the command that shows the dead letter.
func (d DeadLetter) hint() string { return fmt.Sprintf("see `capture-worker dlq show %d`", d.Seq) }

// handling returns what was done about the dead letter, to follow its name.
func (d DeadLetter) handling() string {
	var text strings.Builder
	if r := d.Republished; r != nil {
		fmt.Fprintf(&text, ", published again %s by %s (%s) as sequence %d of %s, for trade %s", moment(r.Time), r.By, r.Note, r.Seq, r.Stream, r.TradeID)
	}
	if r := d.Dismissed; r != nil {
		fmt.Fprintf(&text, ", dismissed %s by %s (%s)", moment(r.Time), r.By, r.Note)
	}
	return text.String()
}

// PendingAbout returns a line for each pending dead letter about an order that
// names none of its trades.
func (r *Reader) PendingAbout(order string, trades map[string]bool) []string {
	var lines []string
	for _, d := range r.pending() {
		if d.Order == order && !trades[d.Trade] {
			lines = append(lines, printable.Line(fmt.Sprintf("%s is about the order too, and needs an operator: %s", d.name(), d.hint())))
		}
	}
	return lines
}

// pendingOf returns the pending dead letters about a trade.
func (r *Reader) pendingOf(trade string) []DeadLetter {
	var about []DeadLetter
	for _, d := range r.pending() {
		if capture.SameTrade(d.Trade, trade) {
			about = append(about, d)
		}
	}
	return about
}

// readPending reads the pending dead letters that name a trade or an order. An
// error is passed to Warn: the history of a trade can be shown without them.
func (r *Reader) readPending(ctx context.Context, js jetstream.JetStream, box deadletter.Store) []DeadLetter {
	ctx, cancel := context.WithTimeout(ctx, deadLetterTimeout)
	defer cancel()
	n, err := box.Pending(ctx) // usually none, while there may be many handled ones
	if err != nil || n == 0 {
		r.warnDeadLetters(js, err)
		return nil
	}
	var pending []DeadLetter
	err = WalkDeadLetters(ctx, box, r.dec, 0, func(d DeadLetter) error {
		if d.Pending() && (d.Trade != "" || d.Order != "") {
			pending = append(pending, d)
		}
		return nil
	})
	r.warnDeadLetters(js, err)
	if r.unknown != "" {
		r.warn(fmt.Sprintf("pending dead letters: %d, and %s", n, r.unknown))
	}
	return pending
}
