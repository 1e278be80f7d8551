package sim

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
)

// bank is a model of the gateway: it holds the authorizations and what really
// happened to them.
type bank struct {
	s            *Sim
	accounts     []*account
	downUntil    time.Duration
	refusesUntil time.Duration // our key
	foreignUntil time.Duration // the URL leads to another account, which has none of our trades
	codeUntil    time.Duration // every capture call is refused with code
	code         string
}

type account struct {
	no      int
	plan    *TradePlan
	taken   []effect
	changes []change // changes of the state, in order
	ends    map[string]stored
	calls   []*call
	looks   []sighting
	recent  []time.Duration // gateway calls of the last minute
}

// effect is a capture that took effect.
type effect struct {
	at     time.Duration
	amount capture.Amount
	id     string
	call   *call // nil if another system captured
}

type change struct {
	at    time.Duration
	state capture.OrderState
}

// stored is the result of a request_id.
type stored struct {
	code     string
	captured bool
}

// call is one capture call with its true times.
type call struct {
	id     string
	amount capture.Amount
	sent   time.Duration
	ended  time.Duration // when its worker stopped listening
	live   bool          // may still take effect
	failed bool          // answered -1000
}

// sighting is an Order Query that showed its worker an authorized trade.
type sighting struct{ asked time.Duration }

func newBank(s *Sim) *bank {
	b := &bank{s: s}
	for i := range s.plan.Trades {
		t := &s.plan.Trades[i]
		a := &account{no: i, plan: t, ends: map[string]stored{}, changes: []change{{-time.Hour, t.Begins}}}
		if !t.Taken.IsZero() {
			a.taken = []effect{{at: -time.Hour, amount: t.Taken}}
		}
		b.accounts = append(b.accounts, a)
	}
	return b
}

func (b *bank) down() bool    { return b.s.now < b.downUntil }
func (b *bank) refuses() bool { return b.s.now < b.refusesUntil }
func (b *bank) foreign() bool { return b.s.now < b.foreignUntil }
func (b *bank) coding() bool  { return b.s.now < b.codeUntil }

// state returns the state of the authorization at a time.
func (a *account) state(at time.Duration) capture.OrderState {
	state := a.changes[0].state
	for _, c := range a.changes {
		if c.at <= at {
			state = c.state
		}
	}
	return state
}

// open reports whether a capture could still take effect.
func (a *account) open(at time.Duration) bool {
	return a.plan.Known && a.state(at) == capture.OrderAuthorized && at < a.plan.Expires
}

// left returns the sum that is still authorized, in minor units.
func (a *account) left() int {
	left := minor(a.plan.Authorized)
	for _, e := range a.taken {
		left -= minor(e.amount)
	}
	return left
}

// minor returns an amount in minor units. Amounts in plans have all decimals of
// their currency.
func minor(a capture.Amount) int {
	n, err := strconv.Atoi(strings.ReplaceAll(a.Number(), ".", ""))
	if err != nil {
		panic(err)
	}
	return n
}

// Capture implements worker.Gateway.
func (b *bank) Capture(_ context.Context, r gateway.CaptureRequest) (answer capture.Answer) {
	t := b.s.current
	asked := b.s.now
	t.cross(onCapture, func(back func()) {
		x := &exchange{s: b.s, t: t, a: b.accounts[b.s.trade(r.TradeID)], asked: asked, answer: &answer, back: back}
		x.capture(r, x.limit(r.Until))
	})
	return answer
}

// Query implements worker.Gateway.
func (b *bank) Query(_ context.Context, tradeID string) (answer capture.Answer) {
	t := b.s.current
	asked := b.s.now
	t.cross(onQuery, func(back func()) {
		x := &exchange{s: b.s, t: t, asked: asked, answer: &answer, back: back}
		if i := b.s.trade(tradeID); i >= 0 {
			x.a = b.accounts[i]
		}
		x.query(tradeID, callTimeout)
	})
	return answer
}

// exchange is one call to the gateway in progress.
type exchange struct {
	s      *Sim
	t      *task
	a      *account
	asked  time.Duration
	answer *capture.Answer
	still  time.Duration // between the client's reading of the answer and its return
	back   func()
}

// limit returns the longest duration of the call: the client's timeout, or less if
// its lease ends earlier.
func (x *exchange) limit(until time.Time) time.Duration {
	return max(min(callTimeout, x.t.p.trueTime(until)-x.s.now), 0)
}

// tell delivers an answer to the client after a delay, or the timeout if that comes
// first. The client measures the latency.
func (x *exchange) tell(after, limit time.Duration, answer capture.Answer) {
	if after > limit {
		after, answer = limit, lost("no answer: no full answer within "+limit.String(), 0)
	}
	x.s.after(after, func() {
		answer.Latency = x.s.now - x.asked
		*x.answer = answer
		x.s.note("%s answer: %s %s %s", x.t.name, answer.Kind, answer.Code, answer.Why)
		x.s.after(x.still, x.back)
	})
}

func lost(why string, status int) capture.Answer {
	return capture.Answer{Kind: capture.AnswerUnknown, Why: why, HTTPStatus: status}
}

// lose chooses how an answer is lost: by the timeout, or earlier by a broken
// connection.
func (x *exchange) lose(d dice, limit time.Duration) (after time.Duration, answer capture.Answer) {
	quick := d.between(saltBack, 5*time.Millisecond, 2*time.Second)
	switch d.pick(saltHow, 5) {
	case 0:
		return quick, lost("no answer: connection reset", 0)
	case 1:
		return quick, lost("HTTP 502, not the gateway's JSON", 502)
	case 2:
		return quick, lost("HTTP 429 (Retry-After 5), not the gateway's JSON", 429)
	case 3:
		return quick, lost("HTTP 200, and the answer could not be read", 200)
	}
	return limit, lost("no answer: the call's time is over", 0)
}

func notSent(why string) capture.Answer {
	return capture.Answer{Kind: capture.AnswerNotSent, Why: why}
}

// refusals holds the codes that a client reads as a refusal.
var refusals = map[string]bool{
	capture.CodeSignature: true, capture.CodeUser: true, capture.CodeFieldMissing: true, capture.CodeRequestID: true,
	capture.CodeWindowExceeded: true, capture.CodeAmountExceeded: true, capture.CodeCurrencyMismatch: true, capture.CodeTradeID: true,
}

// coded returns the answer that the client makes of a code.
func coded(code string) capture.Answer {
	kind := capture.AnswerUnknown
	if refusals[code] {
		kind = capture.AnswerRefused
	}
	return capture.Answer{Kind: kind, Code: code, Why: "code " + code, HTTPStatus: 200}
}

func told(kind capture.AnswerKind, order capture.Order) capture.Answer {
	return capture.Answer{
		Kind: kind, Code: capture.CodeSuccess, Why: "the order is " + string(order.State), HTTPStatus: 200, Order: &order,
	}
}
