package reconcile

import (
	"cmp"
	"fmt"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// Kind is the result of a comparison.
type Kind string

// The kinds of verdicts. All but KindAgreed and KindSkipped are differences.
const (
	// KindAgreed means that the gateway, the ledger and the expectation agree.
	KindAgreed Kind = "agreed"
	// KindNotCaptured means that no money was taken, and neither the gateway nor
	// the ledger claims that it was. This includes a failed trade that is still
	// authorized and has time left: `retry` may capture it.
	KindNotCaptured Kind = "not_captured"
	// KindNotInLedger means that the gateway has captured it, our ledger does not
	// show it.
	KindNotInLedger Kind = "not_in_ledger"
	// KindNotAtGateway means that the ledger has the trade as captured, open or
	// parked, and the gateway does not have it.
	KindNotAtGateway Kind = "not_at_gateway"
	// KindAmountDiffers means that the trade was captured with another amount or
	// currency.
	KindAmountDiffers Kind = "amount_differs"
	// KindExpiring means that the trade is not captured, and less than
	// Horizon.Expiring is left to do so.
	KindExpiring Kind = "expiring"
	// KindUnknown means that there was no useful answer, or the state is not final.
	KindUnknown Kind = "unknown"
	// KindSkipped means that Batch.Select rejected the item, and the gateway was
	// not asked.
	KindSkipped Kind = "skipped"
)

// Kinds returns all kinds.
func Kinds() []Kind {
	return []Kind{KindAgreed, KindNotCaptured, KindNotInLedger, KindNotAtGateway,
		KindAmountDiffers, KindExpiring, KindUnknown, KindSkipped}
}

// Difference reports whether an operator has to look at the trade.
func (k Kind) Difference() bool { return k != KindAgreed && k != KindSkipped }

// Item is a trade to compare.
type Item struct {
	TradeID string
	// Expected is the captured amount according to other accounts, zero if there are
	// none.
	Expected capture.Amount
	// CaptureBefore is the end of the authorization. If it is zero, the job in the
	// ledger is used.
	CaptureBefore time.Time
	// Tag is copied to the verdict.
	Tag any
}

// Verdict is the result for one item, with the evidence.
type Verdict struct {
	Item
	Position int64 // in the input, from 0
	Kind     Kind
	Why      string // the reason, for an operator
	// State is the state in the ledger; Events is 0 if the ledger has none.
	State capture.State
	// Answer is the last answer of Order Query, Tries the number of queries.
	Answer capture.Answer
	Tries  int
	asked  time.Time
	// Unasked reports that the run had given up on the gateway before this item.
	// Cursor.Done leaves it to the next run.
	Unasked bool
	// Deadline is the end of the time to capture the trade, zero if it is unknown.
	Deadline time.Time
	// Event is the outcome that follows for the ledger, nil if none does. Written
	// reports whether this run has written it.
	Event   *capture.Event
	Written bool
	// Err is an error of the ledger; Kind is KindUnknown if it could not be read.
	Err error
}

// Captured returns the captured amount according to the ledger, zero if the trade
// is not captured there.
func (v Verdict) Captured() capture.Amount { return capturedBy(v.State) }

func capturedBy(s capture.State) capture.Amount {
	if s.Phase != capture.PhaseCaptured || s.Outcome == nil {
		return capture.Amount{}
	}
	return s.Outcome.Sum()
}

// Horizon configures what [Compare] treats as late.
type Horizon struct {
	Window   time.Duration // from the authorization to its end; 0 is capture.AuthorizationWindow
	Expiring time.Duration // an uncaptured trade with this time left, or less, is KindExpiring
}

// Compare compares the answer of Order Query, the state in the ledger and the
// expectation, and returns the result with its reason. It is a pure function.
func Compare(item Item, s capture.State, a capture.Answer, now time.Time, h Horizon) (Kind, string) {
	h.Window = cmp.Or(h.Window, capture.AuthorizationWindow)
	c := comparison{item: item, s: s, a: a, now: now, h: h, captured: s.Phase == capture.PhaseCaptured}
	switch {
	case a.NoSuchTrade():
		return c.noSuchTrade()
	case a.Kind != capture.AnswerDone || a.Order == nil:
		return KindUnknown, "no useful answer from Order Query: " + whyOf(a)
	}
	switch a.Order.State.Class() {
	case capture.OrderIsPaid:
		return c.paid()
	case capture.OrderIsOpen:
		return c.authorized()
	case capture.OrderIsDead:
		return c.dead()
	case capture.OrderIsMoving:
		return KindUnknown, fmt.Sprintf("the gateway reports %s, which is not final; ask again later", a.Order.State)
	}
	return c.unclear()
}

type comparison struct {
	item     Item
	s        capture.State
	a        capture.Answer
	now      time.Time
	h        Horizon
	captured bool // in the ledger
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

// ledger describes the state of the trade in the ledger.
func (c comparison) ledger() string {
	switch {
	case c.s.Events == 0:
		return "our ledger does not know the trade"
	case c.s.Outcome != nil && c.s.Outcome.Reason != "":
		return fmt.Sprintf("our ledger shows %s (%s)", c.s.Outcome.Type, c.s.Outcome.Reason)
	case c.s.Outcome != nil:
		return fmt.Sprintf("our ledger shows %s", c.s.Outcome.Type)
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
	// This includes an expected trade that failed: gateway and ledger agree that no
	// money moved.
	return KindNotCaptured, "the gateway knows no such trade (-4024), and " + c.ledger()
}

// paid compares the amounts of the gateway, the ledger and the expectation.
func (c comparison) paid() (Kind, string) {
	seen, ours, expected := c.a.Order.Amount, capturedBy(c.s), c.item.Expected
	switch {
	case seen.IsZero():
		return KindUnknown, fmt.Sprintf("the gateway reports paid, without an amount that can be read (%q)", c.a.Order.AmountText)
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

// sameMoney implements rule 6: after our capture Order Query may show the
// authorized amount instead (unverified).
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
		return KindNotAtGateway, fmt.Sprintf("our ledger shows captured %s, but the gateway still shows authorized", capturedBy(c.s))
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

// deadline returns the time until which we may capture the trade.
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

// end returns the end of the gateway's window, if it is known. A job's
// capture_before may be earlier, and a retry can change it.
func (c comparison) end() time.Time {
	for _, from := range []time.Time{createdAt(c.a, c.now), c.s.CreatedAt, c.s.Job.AuthorizedAt} {
		if !from.IsZero() {
			return from.Add(c.h.Window)
		}
	}
	return c.deadline()
}

// createdAt returns when the authorization was made according to Order Query. It
// returns zero for a time more than a day ahead, which must not set a deadline.
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

// left describes the time that is left to capture a trade, if it is known.
func (c comparison) left(deadline time.Time) string {
	const day = 24 * time.Hour
	switch left := deadline.Sub(c.now); {
	case deadline.IsZero(), left > 90*day: // too long to be worth showing
		return ""
	case left < 2*day:
		return fmt.Sprintf(", %d hours left", left/time.Hour)
	default:
		return fmt.Sprintf(", %d days left", left/day)
	}
}

// retry names the command that sends a failed trade back to work.
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
		return KindNotAtGateway, fmt.Sprintf("our ledger shows captured %s, but the gateway reports %s", capturedBy(c.s), state)
	case c.failed() && !c.expected():
		return KindAgreed, fmt.Sprintf("the gateway reports %s; %s", state, c.ledger())
	}
	return KindNotCaptured, fmt.Sprintf("the gateway reports %s; %s", state, c.ledger())
}

func (c comparison) unclear() (Kind, string) {
	ours := capturedBy(c.s)
	switch {
	case c.a.Order.State != capture.OrderRefunded:
		return KindUnknown, fmt.Sprintf("the gateway reports %q, an unknown state", c.a.Order.State)
	case c.captured && c.expected() && c.item.Expected != ours:
		return KindAmountDiffers, fmt.Sprintf("expected %s, captured %s, refunded since", c.item.Expected, ours)
	case c.captured:
		return KindAgreed, fmt.Sprintf("captured %s, refunded since", ours)
	}
	return KindUnknown, "the gateway reports refunded; " + c.ledger()
}
