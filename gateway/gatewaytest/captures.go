package gatewaytest

import (
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
)

// requestIDShape is the recommendation of the gateway's page, enforced here.
var requestIDShape = regexp.MustCompile(`^[A-Za-z0-9]{24,64}$`)

// captureWays maps a fault of a capture to how the answer is delivered and whether the
// capture is run.
var captureWays = map[Fault]struct {
	how how
	run bool
}{
	NoFault: {byAnswer, true}, Slow: {bySlowAnswer, true}, Pending: {byAnswer, true},
	ErrorBefore: {byAnswer, false}, ErrorAfter: {byAnswer, true}, ErrorLate: {byAnswer, false},
	Refused: {byAnswer, false}, OddCode: {byAnswer, false},
	HangBefore: {byHang, false}, HangAfter: {byHang, true},
	ResetBefore: {byReset, false}, ResetAfter: {byReset, true},
	TruncatedBefore: {byTruncation, false}, TruncatedAfter: {byTruncation, true},
	HTML502Before: {by502, false}, HTML502After: {by502, true},
	Status429Before: {by429, false}, Status429After: {by429, true},
	Late: {byHang, false},
}

// capture runs one v3.Capture and returns its answer.
func (s *Simulator) capture(a *account, call paymentCall, faults Faults) delivery {
	a.mu.Lock()
	defer a.mu.Unlock()
	step, scripted, ordinal := a.nextStep(OnCapture)
	d := newDice(s.opts.Seed, a.trade.TradeID, OnCapture, ordinal)
	if !scripted {
		step.Fault = d.fault(faults, OnCapture, saltFault)
		if code := s.settings.Load().refuse; code != "" {
			step = Step{Code: code}
		}
	}
	if step.Fault != NoFault {
		s.stats.faults.Add(1)
	}
	run := &captureRun{s: s, a: a, call: call, faults: faults, dice: d, fault: step.Fault, now: s.opts.Clock()}
	var end outcome
	out := run.play(step, &end)
	s.record(a, func() Call {
		c := s.newCall(call, run.now)
		c.Fault, c.Code, c.TookEffect = step.Fault, end.code, end.effect
		return c
	})
	run.forge()
	return out
}

// captureRun is one capture call in progress. The account is locked.
type captureRun struct {
	s      *Simulator
	a      *account
	call   paymentCall
	faults Faults
	dice   dice
	fault  Fault
	now    time.Time
	early  bool // the notification goes out before the answer
}

// outcome is the result of a call, whether or not the client receives it.
type outcome struct {
	code   string
	effect bool
}

func (r *captureRun) play(step Step, end *outcome) delivery {
	way := captureWays[r.fault]
	out := delivery{how: way.how}
	switch {
	case step.Code != "":
		end.code = step.Code
		out.body = failure(step.Code, r.dice)
		return out
	case r.fault == Late:
		r.landLater(r.s.opts.Timing.LateBy/4, r.s.opts.Timing.LateBy)
		if r.dice.pick(saltHang, 2) == 0 {
			out.how = byReset
		}
		return out
	case r.fault == ErrorLate:
		r.landLater(0, r.s.opts.Timing.ErrorLateBy)
		end.code = capture.CodeInternal
		out.body = failure(end.code, r.dice)
		return out
	case r.fault == Refused || r.fault == OddCode:
		end.code = r.dice.code(r.fault)
		out.body = failure(end.code, r.dice)
		return out
	case !way.run:
		out.body = failure(capture.CodeInternal, r.dice)
		if r.fault == ErrorBefore {
			end.code = r.failBefore()
			out.body = failure(end.code, r.dice)
		}
		return out
	}
	return r.playRun(out, end)
}

// playRun runs the capture.
func (r *captureRun) playRun(out delivery, end *outcome) delivery {
	end.code, end.effect = r.run()
	out.body = r.answer(end.code)
	if r.fault == ErrorAfter {
		if end.effect {
			r.store(stored{code: capture.CodeInternal, captured: true})
		}
		end.code = capture.CodeInternal
		out.body = failure(end.code, r.dice)
	}
	if r.early {
		out.extra = r.s.opts.Timing.NotifyDelay
	}
	return out
}

// failBefore returns -1000 without effect. The gateway has read the call, so its
// request_id is used.
func (r *captureRun) failBefore() string {
	if code := r.claim(); code != "" {
		return code
	}
	if r.a.answered(r.call.Data["request_id"]) == nil {
		r.store(stored{code: capture.CodeInternal})
	}
	return capture.CodeInternal
}

// run makes the capture if it is permitted, and returns the code.
func (r *captureRun) run() (code string, effect bool) {
	if code := r.claim(); code != "" {
		return code, false
	}
	if earlier := r.a.answered(r.call.Data["request_id"]); earlier != nil {
		switch {
		case r.s.opts.RepeatedRequestID == Rerun:
		case r.s.opts.RepeatedRequestID == Refuse:
			return capture.CodeRequestID, false
		case r.s.opts.RepeatedRequestID == ReplayError:
			return earlier.code, false
		case earlier.captured:
			return capture.CodeSuccess, false
		}
	}
	amount, code := r.permitted()
	if code == "" {
		code, effect = capture.CodeSuccess, true
		r.take(amount)
	}
	r.store(stored{code: code, captured: effect})
	return code, effect
}

// claim returns -4118 for a request_id that is invalid or used by another trade.
func (r *captureRun) claim() string {
	id := r.call.Data["request_id"]
	if !requestIDShape.MatchString(id) {
		return capture.CodeRequestID
	}
	r.s.requestsMu.Lock()
	defer r.s.requestsMu.Unlock()
	owner, used := r.s.requests[id]
	if used && owner != r.a.trade.TradeID {
		return capture.CodeRequestID
	}
	r.s.requests[id] = r.a.trade.TradeID
	return ""
}

// store records the result of the call for its request_id.
func (r *captureRun) store(end stored) {
	end.requestID = r.call.Data["request_id"]
	if earlier := r.a.answered(end.requestID); earlier != nil {
		*earlier = end
		return
	}
	r.a.answers = append(r.a.answers, end)
}

// permitted returns the amount to capture, or the code of the refusal.
func (r *captureRun) permitted() (capture.Amount, string) {
	state := r.a.stateAt(r.now, r.now, ShowStillAuthorized)
	again := len(r.a.captures) > 0 && r.s.opts.PartialCaptures && state.Class() == capture.OrderIsPaid
	switch {
	case len(r.a.captures) > 0 && !again:
		return capture.Amount{}, r.s.opts.SecondCapture
	case state == capture.OrderExpired || !r.now.Before(r.a.trade.ExpiresAt):
		return capture.Amount{}, capture.CodeWindowExceeded
	case state != capture.OrderAuthorized && !again:
		return capture.Amount{}, codeTradeID
	case !strings.EqualFold(r.call.Data["currency"], r.a.trade.Amount.Currency()):
		return capture.Amount{}, capture.CodeCurrencyMismatch
	}
	amount, err := capture.ParseAmount(r.call.Data["amount"], r.a.trade.Amount.Currency())
	if err != nil {
		// No code for a malformed amount is published.
		return capture.Amount{}, capture.CodeFieldMissing
	}
	if above, err := amount.Cmp(r.a.trade.Amount); err != nil || above > 0 {
		return capture.Amount{}, capture.CodeAmountExceeded
	}
	if again && !r.a.leaves(amount) {
		return capture.Amount{}, r.s.opts.SecondCapture
	}
	return amount, ""
}

// leaves reports whether enough of the authorized amount is left for another capture.
func (a *account) leaves(amount capture.Amount) bool {
	left := value(a.trade.Amount)
	for _, took := range a.captures {
		left.Sub(left, value(took.Amount))
	}
	return value(amount).Cmp(left) <= 0
}

func value(a capture.Amount) *big.Rat {
	v, ok := new(big.Rat).SetString(a.Number())
	if !ok {
		return new(big.Rat) // the zero Amount has no number
	}
	return v
}

// captureOf returns the capture that the call made, or that it repeats.
func (r *captureRun) captureOf() Effect {
	i := slices.IndexFunc(r.a.captures, func(e Effect) bool { return e.RequestID == r.call.Data["request_id"] })
	return r.a.captures[max(i, 0)]
}

// take makes the capture and schedules its notifications.
func (r *captureRun) take(amount capture.Amount) {
	r.a.captures = append(r.a.captures, Effect{At: r.now, Amount: amount, RequestID: r.call.Data["request_id"]})
	r.s.stats.effects.Add(1)
	paidAt := r.now
	if r.fault == Pending {
		paidAt = r.now.Add(r.s.opts.Timing.PendingFor)
		r.a.changes = append(r.a.changes, change{r.now, capture.OrderPending})
	}
	r.a.changes = append(r.a.changes, change{paidAt, capture.OrderPaid})
	r.announce(amount, paidAt.Sub(r.now))
}

// answer returns the body for a code; a success has the current state of the trade.
func (r *captureRun) answer(code string) []byte {
	if code != capture.CodeSuccess {
		return failure(code, r.dice)
	}
	state := r.a.stateAt(r.now, r.now, ShowExpired)
	return success(captureData{order: describe(r.a.trade, state, r.captureOf().Amount, r.dice)}, r.dice)
}

// landLater runs the request later, after its client has given up or got -1000. The state
// at that time decides: a trade that was captured or has expired meanwhile stays so.
func (r *captureRun) landLater(least, most time.Duration) {
	delay := least + time.Duration(r.dice.unit(saltDelay)*float64(most-least))
	late := *r
	ok := r.s.life.after(delay, func() {
		if !late.s.known(late.a) {
			return
		}
		late.a.mu.Lock()
		defer late.a.mu.Unlock()
		late.now = late.s.opts.Clock()
		code, effect := late.run()
		late.s.record(late.a, func() Call {
			landed := late.s.newCall(late.call, late.now)
			landed.Method, landed.Fault = gateway.MethodCapture+" (landed)", late.fault
			landed.Code, landed.TookEffect = code, effect
			return landed
		})
	})
	if !ok {
		r.s.stats.dropped.Add(1)
	}
}
