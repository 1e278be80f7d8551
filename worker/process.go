package worker

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/reconcile"
)

// Gateway is the part of gateway.Client that a job needs.
type Gateway interface {
	Capture(ctx context.Context, r gateway.CaptureRequest) capture.Answer
	Query(ctx context.Context, tradeID string) capture.Answer
}

// Turnstile limits what goes to the gateway. Gate is the one that workers use.
type Turnstile interface {
	// Enter waits for a turn: the gateway open, a rate token, a place among
	// the calls being prepared. It holds no gateway slot. leave gives the
	// place back.
	Acquire(ctx context.Context) (leave func(), err error)
	// Call holds a gateway slot for the length of one call. An answer without
	// latency that was not sent is that of a call that was not tried.
	Do(ctx context.Context, call func(context.Context) capture.Answer) capture.Answer
}

// IntakeGuard says whether calls may be made at all, and takes what came of them
// (rule 9). Intake.Guard returns the one that workers use.
type IntakeGuard interface {
	// Admit returns an error that wraps ErrPaused if no call about the trade may
	// be prepared now.
	Admit(tradeID string) error
	// Observe takes the answer to a call about a trade, and reports whether it
	// is excused: the intake is paused for a fault of ours, also because of this
	// very answer.
	Observe(ctx context.Context, tradeID string, via capture.Via, a capture.Answer) (excused bool)
	// MayFail reports whether a trade may be failed for what the gateway refuses,
	// with that code since that time: our account is known to be the right one,
	// or nothing speaks against it.
	MayFail(ctx context.Context, code string, since time.Time) bool
}

// Waiter lets a delivery wait inside, holding no slot. It returns false when
// there is no place to wait or the worker is stopping; the job is then handed
// back.
type Waiter interface {
	Wait(ctx context.Context, until time.Time) bool
}

// Processor takes one delivered job to the point where nothing more can be
// done for it now.
type Processor struct {
	Jobs      *capture.Decoder
	Recorder  *reconcile.Recorder
	Gateway   Gateway
	Gate      Turnstile
	Intake    IntakeGuard // nil: every call may be made, and no answer is excused
	Waiter    Waiter
	Lease     time.Duration // how long an announced call may take, waiting for its slot included
	Inline    time.Duration // how long one delivery waits inside, in all; then it comes again
	Rest      time.Duration // before a job comes again after trouble that is not its own
	NotifyURL string        // where a job names none
	// NewRequestID mints a request_id: at least 24 letters and digits, never
	// seen before.
	NewRequestID func() string
	// AskSince, if set, returns when it was noticed that the ledger may have lost
	// events, the zero time if it has not. Even the first call of a trade is then
	// preceded by a query, and no query of before counts (rule 2).
	AskSince func() time.Time
	Log      *slog.Logger
}

// Delivery is one delivery of a job message.
type Delivery struct {
	Header map[string][]string
	Body   []byte
	First  bool // never delivered before, as far as the broker knows
	Fresh  int  // jobs that were not delivered yet when this one was
}

// Process is a job's way, top to bottom: decode it, open its trade, and do
// what the decision table says until the table says that the job is done or
// has to come back.
//
// stop ends waiting and keeps new calls from being started; ctx ends calls
// and appends under way.
func (p *Processor) Process(ctx, stop context.Context, d Delivery) Disposition {
	job, err := p.Jobs.Decode(d.Header, d.Body)
	if err != nil {
		return unreadable(err)
	}
	patience := p.Recorder.Clock().Add(p.Inline)
	policy := p.Recorder.Policy
	if p.AskSince != nil {
		policy.AskSince = p.AskSince()
	}
	policy.AskFirst = !d.First || !policy.AskSince.IsZero()
	trade, err := p.open(ctx, &job, d.First)
	for err == nil {
		step := capture.Decide(&trade.State, &job, p.Recorder.Clock(), policy)
		if trade.MayLag && mayBeUndone(&trade.State, &step) {
			trade, err = p.Recorder.Reopen(ctx, trade.ID)
			continue
		}
		switch step.Do {
		case capture.DoAck:
			return p.acked(ctx, &job, trade, &step)
		case capture.DoConflict:
			return conflict(&job, trade, &step)
		case capture.DoWait:
			until := p.lookAgain(trade, step.Until)
			if yields := p.yield(&trade.State, d.Fresh, until); yields.After(until) {
				return Disposition{Do: Later, At: yields, Rule: step.Rule}
			}
			if until.After(patience) || !p.Waiter.Wait(stop, until) {
				return Disposition{Do: Later, At: until, Rule: step.Rule}
			}
			trade, err = p.Recorder.Open(ctx, trade.ID)
		case capture.DoSettle:
			trade, err = p.settle(ctx, trade, step.Event)
		case capture.DoQuery:
			trade, err = p.query(ctx, stop, trade, &job)
		case capture.DoAttempt:
			trade, err = p.attempt(ctx, stop, trade, &job, &step)
		}
	}
	return p.handBack(&job, err)
}

// freshPace is how long a job is taken to need, and maxYield how long a refused
// trade gives way to fresh jobs, at most, each time that it would be looked at.
const (
	freshPace = 10 * time.Millisecond
	maxYield  = 2 * time.Minute
)

// yield is when a trade that was refused is looked at again. The broker delivers
// what waits before what is fresh: ten thousand dead authorizations, each asked
// about twice, would come before every healthy job behind them.
func (p *Processor) yield(s *capture.State, fresh int, until time.Time) time.Time {
	if fresh == 0 || s.Unanswered || s.Answer.Refusal() == "" {
		return until
	}
	return p.Recorder.Clock().Add(min(time.Duration(min(fresh, 1_000_000))*freshPace, maxYield))
}

// peek is how soon a job looks again at a trade that another delivery is
// calling the gateway for: the answer mostly comes long before the lease ends.
const peek = 2 * time.Second

// lookAgain is when a waiting job reads its trade again.
func (p *Processor) lookAgain(trade *reconcile.Trade, until time.Time) time.Time {
	now := p.Recorder.Clock()
	soon := now.Add(peek)
	if trade.State.Unanswered && now.Before(trade.State.LeaseUntil) && soon.Before(until) {
		return soon
	}
	return until
}

// mayBeUndone: the job would end because of an outcome that may have been undone,
// by a release or another ask, since the trade was read. Captured never is.
func mayBeUndone(s *capture.State, step *capture.Step) bool {
	ends := step.Do == capture.DoAck || step.Do == capture.DoConflict
	return ends && s.Phase != capture.PhaseCaptured
}

// open reads the trade. The first delivery of a job is almost always the first
// that is heard of its trade, so nothing is read: the first append expects an
// empty ledger, and where it is not, the conflict brings the truth. A job whose
// window is over begins with a query instead, which nothing guards: most are of
// trades that have ended.
func (p *Processor) open(ctx context.Context, job *capture.Job, first bool) (*reconcile.Trade, error) {
	key := capture.TradeKey(job.TradeID)
	deadline := job.Deadline(p.Recorder.Policy.OrDefault().Window)
	if first && (deadline.IsZero() || p.Recorder.Clock().Before(deadline)) {
		return &reconcile.Trade{ID: key}, nil
	}
	return p.Recorder.Open(ctx, key)
}

// settle writes an outcome that needs no call.
func (p *Processor) settle(ctx context.Context, trade *reconcile.Trade, outcome *capture.Event) (*reconcile.Trade, error) {
	trade, err := p.Recorder.Record(ctx, trade, outcome)
	return trade, decideAgain(err)
}

// query asks Order Query and writes down what follows.
func (p *Processor) query(ctx, stop context.Context, trade *reconcile.Trade, job *capture.Job) (*reconcile.Trade, error) {
	leave, err := p.enter(stop, job.TradeID)
	if err != nil {
		return trade, err
	}
	defer leave()
	// The gateway knows the trade by the spelling of the first job.
	tradeID := cmp.Or(trade.State.Job.TradeID, job.TradeID)
	finding := capture.Finding{Via: capture.ViaQuery}
	finding.Answer = p.Gate.Do(ctx, func(ctx context.Context) capture.Answer {
		finding = p.Recorder.Ask(ctx, p.Gateway.Query, tradeID)
		return finding.Answer
	})
	finding.Excused = p.observe(ctx, tradeID, &finding) || !p.mayFail(ctx, trade, job, finding)
	trade, _, err = p.Recorder.Apply(ctx, trade, job, finding)
	return trade, err
}

// enter waits for a turn at the gateway.
func (p *Processor) enter(stop context.Context, tradeID string) (leave func(), err error) {
	if p.Intake != nil {
		if err := p.Intake.Admit(tradeID); err != nil {
			return nil, err
		}
	}
	return p.Gate.Acquire(stop)
}

// observe reports whether an answer is excused. One that shows the order is
// believed in any case: it comes from the account that has it.
func (p *Processor) observe(ctx context.Context, tradeID string, f *capture.Finding) bool {
	return p.Intake != nil && p.Intake.Observe(ctx, tradeID, f.Via, f.Answer) && f.Answer.Kind != capture.AnswerDone
}

// mayFail previews what follows from a query. A trade is failed for what the
// gateway refuses only if our account is not in doubt: asked about in the wrong
// one, every trade looks as if it were dead.
func (p *Processor) mayFail(ctx context.Context, trade *reconcile.Trade, job *capture.Job, f capture.Finding) bool {
	if p.Intake == nil {
		return true
	}
	e := capture.Judge(&trade.State, job, f, p.Recorder.Clock(), p.Recorder.Policy)
	if e == nil || e.Type != capture.Failed {
		return true
	}
	switch {
	case f.Answer.NoSuchTrade():
		return p.Intake.MayFail(ctx, f.Answer.Code, trade.State.AnsweredAt)
	case e.Reason == capture.ReasonAmountExceeded, e.Reason == capture.ReasonCurrencyMismatch:
		return p.Intake.MayFail(ctx, trade.State.Answer.Code, trade.State.AnsweredAt)
	}
	return true // the order's own state explains it
}

// attempt announces a capture call in the ledger, makes it, and writes down
// what follows. The announcement waits for no slot, and no slot waits for it.
func (p *Processor) attempt(ctx, stop context.Context, trade *reconcile.Trade, job *capture.Job, step *capture.Step) (*reconcile.Trade, error) {
	leave, err := p.enter(stop, job.TradeID)
	if err != nil {
		return trade, err
	}
	defer leave()
	now := p.Recorder.Clock()
	if !step.Until.IsZero() && !now.Before(step.Until) {
		// The turn took its time, and with it the deadline. What comes next is a
		// query, and the trade may never have been read.
		return p.Recorder.Open(ctx, trade.ID)
	}
	intent := step.Event
	if intent.RequestID == "" {
		intent.RequestID = p.NewRequestID()
	}
	intent.Time, intent.LeaseUntil = now, now.Add(p.Lease)
	trade, err = p.Recorder.Record(ctx, trade, intent)
	if err != nil {
		return trade, decideAgain(err)
	}
	finding := capture.Finding{Via: capture.ViaCapture, Call: intent.Call, Answer: p.call(ctx, intent, step.Until)}
	finding.Excused = p.observe(ctx, intent.Job.TradeID, &finding)
	trade, _, err = p.Recorder.Apply(ctx, trade, job, finding)
	return trade, err
}

// call makes the announced call inside its lease: past it, others are free to
// act, so a call that has not begun must not begin, and one that has must have
// ended. Nor may it begin after the deadline. The gate bounds the wait for a
// slot.
func (p *Processor) call(ctx context.Context, intent *capture.Event, deadline time.Time) capture.Answer {
	job := intent.Job
	request := gateway.CaptureRequest{
		TradeID: job.TradeID, Amount: job.Amount, Description: job.Description,
		NotifyURL: job.NotifyURL, RequestID: intent.RequestID, Until: intent.LeaseUntil,
	}
	if request.NotifyURL == "" {
		request.NotifyURL = p.NotifyURL
	}
	return p.Gate.Do(ctx, func(ctx context.Context) capture.Answer {
		if over(intent.LeaseUntil, deadline, p.Recorder.Clock()) {
			return notSent("the lease or the deadline was over before the call could begin")
		}
		return p.Gateway.Capture(ctx, request)
	})
}

// over: the time in which the announced call may begin has passed, by the clock
// that others go by too: the monotonic one stands still while a machine sleeps.
func over(lease, deadline, now time.Time) bool {
	return !now.Before(lease) || !now.Round(0).Before(lease.Round(0)) || (!deadline.IsZero() && !now.Before(deadline))
}

// decideAgain takes a conflict for what it is: news. The trade that came with
// it is fresh, and the table decides again.
func decideAgain(err error) error {
	if errors.Is(err, ledger.ErrConflict) {
		return nil
	}
	return err
}
