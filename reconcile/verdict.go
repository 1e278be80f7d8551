package reconcile

import (
	"cmp"
	"fmt"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// Kind sorts what a comparison found.
type Kind string

// The kinds of verdicts. All but KindAgreed and KindSkipped are differences.
const (
	// KindAgreed: the gateway, the ledger and what was expected say the same.
	KindAgreed Kind = "agreed"
	// KindNotCaptured: no money was taken, and nobody claims the contrary but
	// the one who expects it. A failed trade that is still authorized is one of
	// these, as long as there is time: `retry` may capture it after all.
	KindNotCaptured Kind = "not_captured"
	// KindNotInLedger: the gateway has captured it, our ledger does not say so.
	KindNotInLedger Kind = "not_in_ledger"
	// KindNotAtGateway: our ledger has it, as captured, open or parked, and the
	// gateway has not.
	KindNotAtGateway Kind = "not_at_gateway"
	// KindAmountDiffers: captured, in another amount or currency.
	KindAmountDiffers Kind = "amount_differs"
	// KindExpiring: not captured, and the time to do so is running out.
	KindExpiring Kind = "expiring"
	// KindUnknown: the truth could not be learned, or is not final yet.
	KindUnknown Kind = "unknown"
	// KindSkipped: Batch.Select did not want it; the gateway was not asked.
	KindSkipped Kind = "skipped"
)

// Kinds lists the kinds.
func Kinds() []Kind {
	return []Kind{KindAgreed, KindNotCaptured, KindNotInLedger, KindNotAtGateway,
		KindAmountDiffers, KindExpiring, KindUnknown, KindSkipped}
}

// Difference reports whether somebody has to look.
func (k Kind) Difference() bool { return k != KindAgreed && k != KindSkipped }

// Item is a trade to look at.
type Item struct {
	TradeID string
	// Expected is the money that somebody's books say was captured, zero where
	// nobody expects anything.
	Expected capture.Amount
	// CaptureBefore is the end of the authorization where the caller knows it;
	// the ledger's job is asked otherwise.
	CaptureBefore time.Time
	// Tag is carried to the verdict untouched.
	Tag any
}

// Verdict is what was found about one item, with the evidence.
type Verdict struct {
	Item
	Position int64 // in the input, from 0
	Kind     Kind
	Why      string // in words, for a person
	// State is what the ledger held; its Events are 0 where it holds nothing.
	State capture.State
	// Answer is what Order Query said last, Tries how often it was asked.
	Answer capture.Answer
	Tries  int
	asked  time.Time
	// Unasked: the run had given up on the gateway. Cursor.Done leaves it to the
	// next run.
	Unasked bool
	// Deadline is the end of the time to capture it, zero if none is known.
	Deadline time.Time
	// Event is the outcome that follows for the ledger, nil where none does.
	// Written says that it is in the ledger now.
	Event   *capture.Event
	Written bool
	// Err is the trouble of the ledger, where it kept the truth from us.
	Err error
}

// Captured returns the money that the ledger says was captured, zero where it
// does not say so.
func (v Verdict) Captured() capture.Amount { return capturedBy(v.State) }

func capturedBy(s capture.State) capture.Amount {
	if s.Phase != capture.PhaseCaptured || s.Outcome == nil {
		return capture.Amount{}
	}
	return s.Outcome.Sum()
}

// Horizon says what counts as late.
type Horizon struct {
	Window   time.Duration // how long an authorization can be captured; 0 is capture.AuthorizationWindow
	Expiring time.Duration // a trade that is not captured with less time left is KindExpiring
}

// Compare says how the gateway's answer to an Order Query, the ledger and what
// was expected agree, and why, in words. It is pure.
func Compare(item Item, s capture.State, a capture.Answer, now time.Time, h Horizon) (Kind, string) {
	h.Window = cmp.Or(h.Window, capture.AuthorizationWindow)
	c := comparison{item: item, s: s, a: a, now: now, h: h, captured: s.Phase == capture.PhaseCaptured}
	switch {
	case a.NoSuchTrade():
		return c.noSuchTrade()
	case a.Kind != capture.AnswerDone || a.Order == nil:
		return KindUnknown, "Order Query told nothing: " + whyOf(a)
	}
	switch a.Order.State.Class() {
	case capture.OrderIsPaid:
		return c.paid()
	case capture.OrderIsOpen:
		return c.authorized()
	case capture.OrderIsDead:
		return c.dead()
	case capture.OrderIsMoving:
		return KindUnknown, fmt.Sprintf("the gateway says %s, which is not final; ask again later", a.Order.State)
	}
	return c.unclear()
}

type comparison struct {
	item     Item
	s        capture.State
	a        capture.Answer
	now      time.Time
	h        Horizon
	captured bool // says the ledger
}

func whyOf(a capture.Answer) string {
	switch {
	case a.Code != "":
		return "code " + a.Code
	case a.Why != "":
		return a.Why
	case a.HTTPStatus != 0:
		return fmt.Sprintf("HTTP %d", a.HTTPStatus)
	}
	return string(a.Kind)
}

// ledger says in words where the trade stands for us.
func (c comparison) ledger() string {
	switch {
	case c.s.Events == 0:
		return "our ledger does not know the trade"
	case c.s.Outcome != nil && c.s.Outcome.Reason != "":
		return fmt.Sprintf("our ledger says %s (%s)", c.s.Outcome.Type, c.s.Outcome.Reason)
	case c.s.Outcome != nil:
		return fmt.Sprintf("our ledger says %s", c.s.Outcome.Type)
	}
	return "our ledger has no outcome yet"
}

func (c comparison) failed() bool { return c.s.Phase == capture.PhaseFailed }

func (c comparison) expected() bool { return !c.item.Expected.IsZero() }

func (c comparison) noSuchTrade() (Kind, string) {
	switch {
	case c.failed() && !c.expected():
		return KindAgreed, "the gateway knows no such trade; " + c.ledger()
	case c.s.Events > 0 && !c.failed():
		return KindNotAtGateway, "the gateway knows no such trade (-4024), but " + c.ledger()
	}
	// A failed trade too, whoever expects it: gateway and ledger both say that
	// no money moved.
	return KindNotCaptured, "the gateway knows no such trade (-4024), and " + c.ledger()
}

// paid compares the money in three books.
func (c comparison) paid() (Kind, string) {
	seen, ours, expected := c.a.Order.Amount, capturedBy(c.s), c.item.Expected
	switch {
	case seen.IsZero():
		return KindUnknown, fmt.Sprintf("the gateway says paid, without an amount that can be read (%q)", c.a.Order.AmountText)
	case c.captured && !c.sameMoney(seen, ours):
		return KindAmountDiffers, fmt.Sprintf("the gateway shows %s, our ledger %s captured", seen, ours)
	case c.captured && c.expected() && expected != ours:
		return KindAmountDiffers, fmt.Sprintf("expected %s, captured %s", expected, ours)
	case !c.captured && c.expected() && !c.sameMoney(seen, expected):
		return KindAmountDiffers, fmt.Sprintf("expected %s, the gateway shows %s; %s", expected, seen, c.ledger())
	case !c.captured && c.s.Job.TradeID != "" && !c.sameMoney(seen, c.s.Job.Amount):
		return KindAmountDiffers, fmt.Sprintf("the job asks for %s, the gateway shows %s; %s", c.s.Job.Amount, seen, c.ledger())
	case !c.captured:
		return KindNotInLedger, fmt.Sprintf("the gateway has captured %s, but %s", seen, c.ledger())
	}
	return KindAgreed, fmt.Sprintf("captured %s", ours)
}

// sameMoney is rule 6: after a capture of ours Order Query may show what was
// authorized instead (unverified).
func (c comparison) sameMoney(seen, want capture.Amount) bool {
	job := c.s.Job
	return seen == want || c.s.Call > 0 && want == job.Amount && seen == job.AuthorizedAmount
}

func (c comparison) authorized() (Kind, string) {
	deadline := c.deadline()
	if c.failed() {
		deadline = c.end()
	}
	over := !deadline.IsZero() && !deadline.After(c.now)
	switch {
	case c.captured:
		return KindNotAtGateway, fmt.Sprintf("our ledger says captured %s, but the gateway still shows authorized", capturedBy(c.s))
	case c.failed() && !c.expected() && (over || c.s.Withdrawn):
		return KindAgreed, "not captured; " + c.ledger()
	case over:
		return KindNotCaptured, fmt.Sprintf("not captured before its deadline %s; %s", deadline.UTC().Format(time.RFC3339), c.ledger())
	case deadline.IsZero() || deadline.Sub(c.now) > c.h.Expiring:
		return KindNotCaptured, "authorized and not captured" + c.left(deadline) + "; " + c.ledger() + c.retry()
	}
	return KindExpiring, fmt.Sprintf("not captured, and the authorization ends %s%s; %s%s",
		deadline.UTC().Format(time.RFC3339), c.left(deadline), c.ledger(), c.retry())
}

// deadline is the end of the time that we give ourselves to capture the trade.
func (c comparison) deadline() time.Time { return deadlineOf(c.item, c.s, c.a, c.now, c.h.Window) }

func deadlineOf(item Item, s capture.State, a capture.Answer, now time.Time, window time.Duration) time.Time {
	if !item.CaptureBefore.IsZero() {
		return item.CaptureBefore
	}
	deadline := s.Deadline(window)
	if created := createdAt(a, now); deadline.IsZero() && !created.IsZero() {
		return created.Add(window)
	}
	return deadline
}

// end is the end of the time that the gateway gives, as far as it is known: a
// job's capture_before may be earlier, and a retry can move that.
func (c comparison) end() time.Time {
	for _, from := range []time.Time{createdAt(c.a, c.now), c.s.CreatedAt, c.s.Job.AuthorizedAt} {
		if !from.IsZero() {
			return from.Add(c.h.Window)
		}
	}
	return c.deadline()
}

// createdAt is when the authorization was made, as Order Query says, zero if that
// cannot be: a deadline must not come from nonsense.
func createdAt(a capture.Answer, now time.Time) time.Time {
	if a.Order == nil {
		return time.Time{}
	}
	at := capture.UnixSeconds(a.Order.CreatedAt)
	if at.After(now.Add(24 * time.Hour)) {
		return time.Time{}
	}
	return at
}

// left says how long a trade can still be captured, if that is known.
func (c comparison) left(deadline time.Time) string {
	const day = 24 * time.Hour
	switch left := deadline.Sub(c.now); {
	case deadline.IsZero(), left > 90*day: // nobody is in a hurry
		return ""
	case left < 2*day:
		return fmt.Sprintf(", %d hours left", left/time.Hour)
	default:
		return fmt.Sprintf(", %d days left", left/day)
	}
}

// retry says how a failed trade is captured after all.
func (c comparison) retry() string {
	if !c.failed() {
		return ""
	}
	text := "; `capture-worker retry " + c.item.TradeID
	if d := c.s.Deadline(c.h.Window); !d.IsZero() && !d.After(c.now) {
		text += " --before …"
	}
	return text + "` sends it back to work"
}

func (c comparison) dead() (Kind, string) {
	state := c.a.Order.State
	switch {
	case c.captured:
		return KindNotAtGateway, fmt.Sprintf("our ledger says captured %s, but the gateway says %s", capturedBy(c.s), state)
	case c.failed() && !c.expected():
		return KindAgreed, fmt.Sprintf("the gateway says %s; %s", state, c.ledger())
	}
	return KindNotCaptured, fmt.Sprintf("the gateway says %s; %s", state, c.ledger())
}

func (c comparison) unclear() (Kind, string) {
	ours := capturedBy(c.s)
	switch {
	case c.a.Order.State != capture.OrderRefunded:
		return KindUnknown, fmt.Sprintf("the gateway says %q, a word we do not know", c.a.Order.State)
	case c.captured && c.expected() && c.item.Expected != ours:
		return KindAmountDiffers, fmt.Sprintf("expected %s, captured %s, and refunded since", c.item.Expected, ours)
	case c.captured:
		return KindAgreed, fmt.Sprintf("captured %s, and refunded since", ours)
	}
	return KindUnknown, "the gateway says refunded; " + c.ledger()
}
