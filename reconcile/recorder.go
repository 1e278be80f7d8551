package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nuid"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
)

// ErrNotSet is wrapped by errors that name a field which has no default.
var ErrNotSet = errors.New("not set, and there is no default")

func notSet(field string) error { return fmt.Errorf("%s: %w", field, ErrNotSet) }

// maxRereads limits how often one finding is judged again because of conflicts.
const maxRereads = 16

// ErrContended is returned if other writers caused so many conflicts on a trade
// that a finding could not be recorded. The next delivery asks again.
var ErrContended = errors.New("too many conflicting writes to this trade; try again")

// Trade is the state of a trade in the ledger, and the sequence that the next
// append must follow. It is shared and must not be modified: a write returns a
// new Trade.
type Trade struct {
	ID    string // the capture.TradeKey
	State capture.State
	Seq   uint64
	// MayLag reports that the read may have missed the latest writes. An append
	// detects that; a decision to append nothing must be made after [Recorder.Reopen].
	MayLag bool
}

// with returns the trade after one more event.
func (t *Trade) with(e *capture.Event, seq uint64) *Trade {
	after := &Trade{ID: t.ID, State: t.State, Seq: seq}
	after.State.Add(e)
	return after
}

// GatewayID returns the trade_id to send to the gateway: as the first job wrote
// it, or asked if the ledger holds no job.
func (t *Trade) GatewayID(asked string) string {
	if id := t.State.Job.TradeID; id != "" {
		return id
	}
	return asked
}

// Recorder reads and writes the ledger for one worker or operator. It fills in
// the id, time, writer and next-retry time of events, and resolves conflicts by
// reading and judging again. Only Ledger must be set. A Recorder is safe for
// concurrent use if its fields are not changed.
type Recorder struct {
	Ledger   ledger.Ledger
	Policy   capture.Policy   // zero fields are those of capture.DefaultPolicy
	Schedule Schedule         // the zero value is DefaultSchedule
	Worker   string           // the writer's name, on every event
	Now      func() time.Time // nil is time.Now
	NewID    func() string    // returns unique event ids; nil is nuid.Next
	Log      *slog.Logger     // nil disables logging
	// OmitDescription keeps the description of jobs out of the events.
	OmitDescription bool
}

func (r *Recorder) check(name string) error {
	switch {
	case r == nil:
		return notSet(name)
	case r.Ledger == nil:
		return notSet(name + ".Ledger")
	}
	return nil
}

// Clock returns the current time, from Now if it is set.
func (r *Recorder) Clock() time.Time {
	if r.Now == nil {
		return time.Now()
	}
	return r.Now()
}

func (r *Recorder) newID() string {
	if r.NewID == nil {
		return nuid.Next()
	}
	return r.NewID()
}

// Open reads a trade. The result may miss the latest writes. A trade that the
// ledger does not know is no error: its State.Events is 0.
func (r *Recorder) Open(ctx context.Context, tradeID string) (*Trade, error) {
	if err := r.check("reconcile.Recorder"); err != nil {
		return nil, err
	}
	key := capture.TradeKey(tradeID)
	loaded, err := r.Ledger.Load(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	t := tradeOf(key, &loaded)
	t.MayLag = true
	return t, nil
}

// tradeOf returns a trade that was loaded. It is not inlined, so that its temporary
// states take no stack while the ledger is read: the stack of a job stays below 8 KiB.
//
//go:noinline
func tradeOf(key string, loaded *ledger.Trade) *Trade {
	return &Trade{ID: key, State: loaded.State(), Seq: loaded.Seq}
}

// Reopen reads a trade, including everything written before the call.
func (r *Recorder) Reopen(ctx context.Context, tradeID string) (*Trade, error) {
	if err := r.check("reconcile.Recorder"); err != nil {
		return nil, err
	}
	key := capture.TradeKey(tradeID)
	loaded, err := r.Ledger.LoadLatest(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("reading the ledger again: %w", err)
	}
	return tradeOf(key, &loaded), nil
}

// Record completes a draft event, appends it, and returns the trade after it. On
// a conflict it returns the trade as it is now and an error that wraps
// [ledger.ErrConflict]: decide again. A draft must not be recorded twice.
func (r *Recorder) Record(ctx context.Context, t *Trade, e *capture.Event) (*Trade, error) {
	seq, err := r.append(ctx, t, e)
	switch {
	case err == nil:
		r.log(ctx, e, t.State.Job.Amount)
		return t.with(e, seq), nil
	case errors.Is(err, ledger.ErrConflict):
		fresh, openErr := r.Reopen(ctx, t.ID)
		if openErr != nil {
			return t, openErr
		}
		return fresh, err
	}
	return t, err // Ledger.Append names the trade
}

func (r *Recorder) append(ctx context.Context, t *Trade, e *capture.Event) (seq uint64, err error) {
	if err := r.check("reconcile.Recorder"); err != nil {
		return 0, err
	}
	r.stamp(t, e)
	if r.OmitDescription && e.Job != nil && e.Job.Description != "" {
		e = withoutDescription(e)
	}
	return r.Ledger.Append(ctx, *e, t.Seq)
}

// withoutDescription returns a copy of the event with another job: the caller's own
// keeps its description for the call that follows. It is not inlined, so that its
// copy takes no stack while the event is appended.
//
//go:noinline
func withoutDescription(e *capture.Event) *capture.Event {
	copied, job := *e, *e.Job
	job.Description = ""
	copied.Job = &job
	return &copied
}

// FailsBy returns the code of the refusal for which a finding would fail a trade,
// and since when the gateway has refused it; "" if it would not, or if the order's
// own state explains the failure. Queried in the wrong account, every trade looks
// as if it were dead: such a failure needs a proof that ours is the right one.
func (r *Recorder) FailsBy(t *Trade, job *capture.Job, f capture.Finding) (code string, since time.Time) {
	e := capture.Judge(&t.State, job, f, r.Clock(), r.Policy)
	switch {
	case e == nil || e.Type != capture.Failed:
		return "", time.Time{}
	case f.Answer.NoSuchTrade():
		return f.Answer.Code, t.State.AnsweredAt
	case e.Reason == capture.ReasonAmountExceeded, e.Reason == capture.ReasonCurrencyMismatch:
		return t.State.Answer.Code, t.State.AnsweredAt
	}
	return "", time.Time{}
}

// Apply judges a finding and records the event that follows. On a conflict it
// judges the same finding again on the new state, so that no answer is lost. It
// returns the event that was written, nil if there was nothing to write. job
// may be nil: the job in the ledger is used then.
func (r *Recorder) Apply(ctx context.Context, t *Trade, job *capture.Job, f *capture.Finding) (*Trade, *capture.Event, error) {
	return r.apply(ctx, t, job, f, nil)
}

// apply is Apply with a function that completes each draft.
func (r *Recorder) apply(ctx context.Context, t *Trade, job *capture.Job, f *capture.Finding, complete func(*capture.Event)) (*Trade, *capture.Event, error) {
	received := r.Clock()
	for range maxRereads {
		e := r.judge(t, job, f, received)
		if e == nil {
			return t, nil, nil
		}
		// The event has the time of the answer, also after a conflict.
		e.Time = received
		if complete != nil {
			complete(e)
		}
		after, err := r.Record(ctx, t, e)
		if err == nil {
			return after, e, nil
		}
		if !errors.Is(err, ledger.ErrConflict) {
			return after, nil, err
		}
		t = after
	}
	return t, nil, fmt.Errorf("trade %s: %w", t.ID, ErrContended)
}

// judge is apart from apply so that the arguments take no stack while the event is
// appended (docs/decisions/050).
//
//go:noinline
func (r *Recorder) judge(t *Trade, job *capture.Job, f *capture.Finding, received time.Time) *capture.Event {
	return capture.Judge(&t.State, job, *f, received, r.Policy)
}

// stamp fills in what every event has, and the next retry time of evidence.
func (r *Recorder) stamp(t *Trade, e *capture.Event) {
	now := r.Clock()
	if e.ID == "" {
		e.ID = r.newID()
	}
	e.TradeID, e.Worker = t.ID, r.Worker
	if e.Time.IsZero() {
		e.Time = now
	}
	switch e.Type {
	case capture.Answered:
		e.RetryAt = r.Schedule.Next(e.Call, now, t.State.Deadline(r.Policy.OrDefault().Window))
	case capture.Queried:
		// Queries advance the schedule as calls do: otherwise a gateway that answers
		// queries and fails captures would be called at a constant high rate.
		round := e.Call + queryStep(e.Answer)*(t.State.Queries+1)
		e.RetryAt = r.Schedule.Next(round, now, t.State.Deadline(r.Policy.OrDefault().Window))
	}
}

// queryStep returns how many rounds each query since the last call adds to the
// schedule. It is 3 if the query showed authorized: after a lost call the next
// queries mostly show the same until the settle time is over, and would take
// gateway slots from other jobs.
func queryStep(a *capture.Answer) int {
	if a != nil && a.Order != nil && a.Order.State == capture.OrderAuthorized {
		return 3
	}
	return 1
}

// log writes one record per outcome, and evidence at debug level.
func (r *Recorder) log(ctx context.Context, e *capture.Event, asked capture.Amount) {
	level := levelOf(e.Type)
	if r.Log == nil || !r.Log.Enabled(ctx, level) {
		return
	}
	// The handler is called directly: the logger would look up the source line for
	// every job, which capture-worker's log does not show.
	record := slog.NewRecord(time.Now(), level, string(e.Type), 0)
	addAttributes(&record, e, asked)
	_ = r.Log.Handler().Handle(ctx, record)
}

func addAttributes(r *slog.Record, e *capture.Event, asked capture.Amount) {
	r.AddAttrs(slog.String("trade_id", e.TradeID), slog.String("order_id", e.OrderID), slog.Int("attempt", e.Attempt))
	if e.Type == capture.Captured && e.Via == capture.ViaCapture && e.Call == 1 {
		// The normal case, a first call answered as paid, is kept short.
		r.AddAttrs(slog.String("amount", e.Amount), slog.String("currency", e.Currency))
		return
	}
	r.AddAttrs(slog.Int("call", e.Call), slog.String("rule", e.Rule))
	if e.Answer != nil {
		r.AddAttrs(slog.String("via", string(e.Via)), slog.String("answer", string(e.Answer.Kind)),
			slog.String("code", e.Answer.Code), slog.String("why", e.Answer.Why))
	}
	switch e.Type {
	case capture.Captured:
		r.AddAttrs(slog.String("amount", e.Amount), slog.String("currency", e.Currency))
	case capture.Failed, capture.Parked:
		// The sum that was not captured, or that is in doubt: what the job asks for. A
		// trade that was withdrawn before its job came has it in the event alone.
		amount, currency := asked.Number(), asked.Currency()
		if asked.IsZero() {
			amount, currency = e.Amount, e.Currency
		}
		r.AddAttrs(slog.String("reason", e.Reason), slog.String("amount", amount), slog.String("currency", currency))
	}
}

func levelOf(t capture.EventType) slog.Level {
	switch t {
	case capture.Captured:
		return slog.LevelInfo
	case capture.Failed, capture.Parked:
		return slog.LevelWarn
	}
	return slog.LevelDebug
}
