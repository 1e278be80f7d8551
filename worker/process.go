package worker

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/reconcile"
)

// Processor processes one delivered job until it is done or has to wait.
type Processor struct {
	Jobs      *capture.Decoder
	Recorder  *reconcile.Recorder
	Gateway   Gateway
	Limiter   Limiter
	Intake    IntakeGuard // nil: every call may be made, and no answer is excused
	Delayer   Delayer
	Lease     time.Duration // the longest time of an announced call, including the wait for its slot
	Inline    time.Duration // the total time that one delivery waits inside the worker before it is redelivered
	Rest      time.Duration // the first delay after an error that is not the job's fault
	NotifyURL string        // the notify_url of jobs without one
	// NewRequestID mints a request_id: at least 24 letters and digits, never
	// seen before.
	NewRequestID func() string
	// AskSince, if set, returns when a loss of ledger events was noticed, the zero
	// time if there is none. After a loss even the first call of a trade is
	// preceded by a query, and no earlier query counts (rule 2).
	AskSince func() time.Time
	// Withdrawn, if set, returns the withdrawal of an order, if there is one: the job
	// of a trade that was never called for is withdrawn then.
	Withdrawn func(order string) (reconcile.WithdrawalRequest, bool)
	Log       *slog.Logger
}

// Delivery is one delivery of a job message.
type Delivery struct {
	Header map[string][]string
	Body   []byte
	// Stream and Sequence are the position of the message; "" if it is unknown.
	Stream   string
	Sequence uint64
	First    bool // never delivered before, as far as the broker knows
	Fresh    int  // jobs that were still undelivered at that time
}

// Process processes a job from top to bottom: it decodes the job, opens its trade,
// and carries out the steps of the decision table until the job is done or has to
// be redelivered. stop ends waits and prevents new calls; ctx ends calls and
// appends in progress.
func (p *Processor) Process(ctx, stop context.Context, d Delivery) Disposition {
	job, err := p.Jobs.Decode(d.Header, d.Body)
	if err != nil {
		return p.unreadable(d, err)
	}
	inlineUntil := p.Recorder.Clock().Add(p.Inline)
	policy := p.Recorder.Policy
	if p.AskSince != nil {
		policy.AskSince = p.AskSince()
	}
	policy.AskFirst = !d.First || !policy.AskSince.IsZero()
	trade, err := p.open(ctx, &job, d.First)
	for err == nil {
		if e := p.orderWithdrawn(&trade.State, &job); e != nil {
			trade, err = p.settle(ctx, trade, e)
			continue
		}
		var step capture.Step
		if trade, step, err = p.decide(ctx, trade, &job, policy); err != nil {
			break
		}
		switch step.Do {
		case capture.DoAck:
			return p.acked(ctx, &job, trade, &step)
		case capture.DoConflict:
			return conflict(&job, trade, &step)
		case capture.DoWait:
			until, inside := p.nextRead(&trade.State, step.Until, d.Fresh)
			if !inside || until.After(inlineUntil) || !p.Delayer.Wait(stop, until) {
				return Disposition{Do: Retry, At: until, Rule: step.Rule}
			}
			trade, err = p.Recorder.Open(ctx, trade.ID)
		case capture.DoSettle:
			trade, err = p.settle(ctx, trade, step.Event)
		case capture.DoQuery:
			trade, err = p.query(ctx, stop, trade, &job)
		case capture.DoAttempt:
			trade, err = p.attempt(ctx, stop, trade, &job, &step, &d)
		}
	}
	return p.requeue(&job, err)
}

// orderWithdrawn drafts the withdrawn event of a trade whose order was withdrawn
// before its first call, nil if it was not. It leaves a trade alone that an operator
// has sent back to work.
func (p *Processor) orderWithdrawn(s *capture.State, job *capture.Job) *capture.Event {
	if p.Withdrawn == nil || job.OrderID == "" || s.Call > 0 || s.Outcome != nil || s.Withdrawn || s.SumAccepted {
		return nil
	}
	w, ok := p.Withdrawn(job.OrderID)
	if !ok {
		return nil
	}
	return w.Event(job.TradeID, job.OrderID)
}

// settle records an event that needs no call, mostly an outcome.
func (p *Processor) settle(ctx context.Context, trade *reconcile.Trade, outcome *capture.Event) (*reconcile.Trade, error) {
	trade, err := p.Recorder.Record(ctx, trade, outcome)
	return trade, decideAgain(err)
}

// query makes an Order Query and records the result.
func (p *Processor) query(ctx, stop context.Context, trade *reconcile.Trade, job *capture.Job) (*reconcile.Trade, error) {
	release, err := p.acquire(stop, job.TradeID)
	if err != nil {
		return trade, err
	}
	defer release()
	// The gateway knows the trade by the spelling of the first job.
	tradeID := cmp.Or(trade.State.Job.TradeID, job.TradeID)
	finding := p.ask(ctx, tradeID)
	finding.Excused = p.observe(ctx, tradeID, &finding) || !p.mayFail(ctx, trade, job, finding)
	trade, _, err = p.Recorder.Apply(ctx, trade, job, &finding)
	return trade, err
}

// acquire waits for a turn at the gateway.
func (p *Processor) acquire(stop context.Context, tradeID string) (release func(), err error) {
	if p.Intake != nil {
		if err := p.Intake.Admit(tradeID); err != nil {
			return nil, err
		}
	}
	return p.Limiter.Acquire(stop)
}

// ask makes an Order Query in a gateway slot.
func (p *Processor) ask(ctx context.Context, tradeID string) (finding capture.Finding) {
	end, err := p.Limiter.Begin(ctx)
	if err != nil {
		return capture.Finding{Via: capture.ViaQuery, Answer: notSent(err.Error())}
	}
	defer func() { end(finding.Answer) }()
	return p.Recorder.Ask(ctx, p.Gateway.Query, tradeID)
}

// observe reports whether an answer is excused. An answer that shows the order is
// never excused: it comes from the account that has the order.
func (p *Processor) observe(ctx context.Context, tradeID string, f *capture.Finding) bool {
	return p.Intake != nil && p.Intake.Observe(ctx, tradeID, f.Via, f.Answer) && f.Answer.Kind != capture.AnswerDone
}

// mayFail reports whether a finding may fail a trade: a refusal may only if our
// account is not in doubt.
func (p *Processor) mayFail(ctx context.Context, trade *reconcile.Trade, job *capture.Job, f capture.Finding) bool {
	if p.Intake == nil {
		return true
	}
	code, since := p.Recorder.FailsBy(trade, job, f)
	return code == "" || p.Intake.MayFail(ctx, code, since)
}

// attempt announces a capture call in the ledger, makes the call, and records the
// result. The append does not wait for a slot and holds none.
func (p *Processor) attempt(ctx, stop context.Context, trade *reconcile.Trade, job *capture.Job, step *capture.Step, d *Delivery) (*reconcile.Trade, error) {
	release, err := p.acquire(stop, job.TradeID)
	if err != nil {
		return trade, err
	}
	defer release()
	now := p.Recorder.Clock()
	if !step.Until.IsZero() && !now.Before(step.Until) {
		// The deadline passed during the wait. The next step is a query, and the
		// trade may not have been read yet.
		return p.Recorder.Open(ctx, trade.ID)
	}
	intent := step.Event
	if intent.RequestID == "" {
		intent.RequestID = p.NewRequestID()
	}
	intent.Time, intent.LeaseUntil = now, now.Add(p.Lease)
	if intent.Job.Description == "" { // the ledger does not keep it
		intent.Job.Description = job.Description
	}
	if d.Stream != "" {
		intent.Source = deadletter.SourceOf(d.Stream, d.Sequence, d.Header)
	}
	trade, err = p.Recorder.Record(ctx, trade, intent)
	if err != nil {
		return trade, decideAgain(err)
	}
	finding := p.callNow(ctx, intent, step.Until)
	trade, _, err = p.Recorder.Apply(ctx, trade, job, finding)
	return trade, err
}

// callNow makes the announced call. It is a function of its own so that the answer
// takes no stack during appends (docs/decisions/050).
func (p *Processor) callNow(ctx context.Context, intent *capture.Event, deadline time.Time) *capture.Finding {
	finding := &capture.Finding{Via: capture.ViaCapture, Call: intent.Call, Answer: p.call(ctx, intent, deadline)}
	finding.Excused = p.observe(ctx, intent.Job.TradeID, finding)
	return finding
}

// call makes the announced call within its lease. After the lease other workers may
// act, so the call must have ended by then, and must not begin later. It must not
// begin after the deadline either. The limiter limits the wait for a slot.
func (p *Processor) call(ctx context.Context, intent *capture.Event, deadline time.Time) (answer capture.Answer) {
	end, err := p.Limiter.Begin(ctx)
	if err != nil {
		return notSent(err.Error())
	}
	defer func() { end(answer) }()
	if over(intent.LeaseUntil, deadline, p.Recorder.Clock()) {
		return notSent("the lease or the deadline was over before the call could begin")
	}
	job := intent.Job
	return p.Gateway.Capture(ctx, gateway.CaptureRequest{
		TradeID: job.TradeID, Amount: job.Amount, Description: job.Description,
		NotifyURL: cmp.Or(job.NotifyURL, p.NotifyURL), RequestID: intent.RequestID, Until: intent.LeaseUntil,
	})
}

func notSent(why string) capture.Answer {
	return capture.Answer{Kind: capture.AnswerNotSent, Why: why}
}

// over reports whether the announced call may no longer begin. It also uses the
// wall clock, as other workers do: the monotonic clock stops while a machine
// sleeps.
func over(lease, deadline, now time.Time) bool {
	return !now.Before(lease) || !now.Round(0).Before(lease.Round(0)) || (!deadline.IsZero() && !now.Before(deadline))
}

// decideAgain ignores a conflict: the trade was read again after it, and the table
// decides again.
func decideAgain(err error) error {
	if errors.Is(err, ledger.ErrConflict) {
		return nil
	}
	return err
}
