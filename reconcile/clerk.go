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

// maxRereads bounds how often one finding is judged again because others wrote
// to the trade at the same time.
const maxRereads = 16

// ErrContended is returned when a trade was written by others so often that a
// finding could not be put down. Nothing is lost: the next delivery asks again.
var ErrContended = errors.New("the trade is being written by others")

// Trade is what the ledger holds of a trade: its state and the sequence that
// the next append has to follow. It is shared and never changed: who writes
// gets a new one.
type Trade struct {
	ID    string // the capture.TradeKey
	State capture.State
	Seq   uint64
	// MayLag: it was read in a way that may miss what others have just
	// written. An append finds that out; an ending that appends nothing must
	// read again.
	MayLag bool
}

// with is the trade after one more event.
func (t *Trade) with(e *capture.Event, seq uint64) *Trade {
	after := &Trade{ID: t.ID, State: t.State, Seq: seq}
	after.State.Add(e)
	return after
}

// GatewayID returns the name under which the gateway knows the trade: as its
// job wrote it, or as it was asked for if the ledger holds no job.
func (t *Trade) GatewayID(askedFor string) string {
	if id := t.State.Job.TradeID; id != "" {
		return id
	}
	return askedFor
}

// Clerk writes to the ledger for one worker or one person: it stamps events
// with id, time, name and schedule, and settles conflicts by reading again and
// judging again. Only Ledger must be set: what needs it returns ErrNotSet
// without. It is safe for concurrent use once its fields are set.
type Clerk struct {
	Ledger   ledger.Ledger
	Policy   capture.Policy   // a zero field is that of capture.DefaultPolicy
	Schedule Schedule         // the zero Schedule is DefaultSchedule
	Worker   string           // stamped on every event: who writes
	Now      func() time.Time // the clock; nil is time.Now
	NewID    func() string    // mints event ids, never the same twice; nil is nuid.Next
	Log      *slog.Logger     // nil: nobody is told
}

// Clock is the present time, by Now where it is set.
func (c *Clerk) Clock() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

func (c *Clerk) mint() string {
	if c.NewID == nil {
		return nuid.Next()
	}
	return c.NewID()
}

// Open reads a trade from the ledger, perhaps a little behind.
func (c *Clerk) Open(ctx context.Context, tradeID string) (*Trade, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	key := capture.TradeKey(tradeID)
	loaded, err := c.Ledger.Load(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	return &Trade{ID: key, State: loaded.State(), Seq: loaded.Seq, MayLag: true}, nil
}

// Reopen reads a trade with all that was written before the call.
func (c *Clerk) Reopen(ctx context.Context, tradeID string) (*Trade, error) {
	return c.reopen(ctx, tradeID)
}

// reopen reads a trade that others have just written to.
func (c *Clerk) reopen(ctx context.Context, tradeID string) (*Trade, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	key := capture.TradeKey(tradeID)
	loaded, err := c.Ledger.LoadLatest(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("reading the ledger again: %w", err)
	}
	return &Trade{ID: key, State: loaded.State(), Seq: loaded.Seq}, nil
}

// Record fills in a drafted event, which is recorded once, appends it and
// returns the trade after it. Where someone else wrote first it returns the
// trade as it now stands and an error that wraps ledger.ErrConflict: decide
// again.
func (c *Clerk) Record(ctx context.Context, t *Trade, e *capture.Event) (*Trade, error) {
	seq, err := c.append(ctx, t, e)
	switch {
	case err == nil:
		c.tell(ctx, e)
		return t.with(e, seq), nil
	case errors.Is(err, ledger.ErrConflict):
		fresh, openErr := c.reopen(ctx, t.ID)
		if openErr != nil {
			return t, openErr
		}
		return fresh, err
	}
	return t, err // which names the trade, as Ledger.Append says
}

func (c *Clerk) append(ctx context.Context, t *Trade, e *capture.Event) (seq uint64, err error) {
	if err := c.check(); err != nil {
		return 0, err
	}
	c.stamp(t, e)
	return c.Ledger.Append(ctx, *e, t.Seq)
}

// Learn judges a finding and appends what follows from it. On a conflict it
// judges the finding again on what the others wrote, so that no answer that
// was had is thrown away. The event is the one that was written, nil where
// there was nothing to write.
func (c *Clerk) Learn(ctx context.Context, t *Trade, job *capture.Job, f capture.Finding) (*Trade, *capture.Event, error) {
	return c.learn(ctx, t, job, f, nil)
}

// learn is Learn that lets sign complete each draft.
func (c *Clerk) learn(ctx context.Context, t *Trade, job *capture.Job, f capture.Finding, sign func(*capture.Event)) (*Trade, *capture.Event, error) {
	came := c.Clock()
	for range maxRereads {
		e := capture.Judge(&t.State, job, f, came, c.Policy)
		if e == nil {
			return t, nil, nil
		}
		// However long the reading again takes, the answer gets no younger.
		e.Time = came
		if sign != nil {
			sign(e)
		}
		after, err := c.Record(ctx, t, e)
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

func (c *Clerk) stamp(t *Trade, e *capture.Event) {
	now := c.Clock()
	e.ID, e.TradeID, e.Worker = c.mint(), t.ID, c.Worker
	if e.Time.IsZero() {
		e.Time = now
	}
	switch e.Type {
	case capture.Answered:
		e.RetryAt = c.Schedule.Next(e.Call, now, t.State.Deadline(c.Policy.OrDefault().Window))
	case capture.Queried:
		// Calls and queries both move the schedule on: a gateway that answers
		// queries and fails captures must not be called ever faster.
		e.RetryAt = c.Schedule.Next(e.Call+queryStep(e.Answer)*(t.State.Queries+1), now, t.State.Deadline(c.Policy.OrDefault().Window))
	}
}

// queryStep is how far each query since the last call moves the schedule on,
// beside the call. Three times as far where the last one found the order
// authorized: after a lost call the next mostly says the same, until the settle
// time is over, and takes a slot from a job that could be captured. Where it
// says something else, the trade is looked at sooner again.
func queryStep(a *capture.Answer) int {
	if a != nil && a.Order != nil && a.Order.State == capture.OrderAuthorized {
		return 3
	}
	return 1
}

// tell logs one line per outcome, and evidence only for who wants details.
func (c *Clerk) tell(ctx context.Context, e *capture.Event) {
	level := levelOf(e.Type)
	if c.Log == nil || !c.Log.Enabled(ctx, level) {
		return
	}
	// Not by way of the logger: it would look up the place in the source for
	// every job, which capture-worker's log does not show.
	r := slog.NewRecord(time.Now(), level, string(e.Type), 0)
	attributes(&r, e)
	_ = c.Log.Handler().Handle(ctx, r)
}

func attributes(r *slog.Record, e *capture.Event) {
	r.AddAttrs(slog.String("trade_id", e.TradeID), slog.String("order_id", e.OrderID), slog.Int("attempt", e.Attempt))
	if e.Type == capture.Captured && e.Via == capture.ViaCapture && e.Call == 1 {
		// Of a first call that was simply answered as paid there is no more to say.
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
		r.AddAttrs(slog.String("reason", e.Reason))
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
