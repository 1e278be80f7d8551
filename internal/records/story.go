package records

import (
	"cmp"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// The faults of an event in the ledger.
const (
	FlawUnreadable = "unreadable" // not an event: it is stored, but not folded
	FlawDoubled    = "doubled"    // an earlier event has its id
	FlawMisfiled   = "misfiled"   // its subject names another trade or type
)

// Kinds of cases, which are unsettled trades.
const (
	CaseParked       = "parked"       // an operator must look
	CaseOpen         = "open"         // being worked on
	CaseContradicted = "contradicted" // failed, and a notification says paid
)

// noDeadline sorts after every deadline.
const noDeadline = math.MaxInt64

// Entry is a message of the ledger.
type Entry struct {
	Seq    uint64
	Stored time.Time
	Trade  string // of the subject
	Type   capture.EventType
	After  uint64 // the header Capture-After; 0 without one
	Raw    []byte

	event capture.Event
	flaw  string
}

// decode decodes the event and sets its flaw, if it has one.
func (e *Entry) decode() {
	var err error
	e.event, err = capture.DecodeEvent(e.Raw)
	switch {
	case err != nil:
		e.event, e.flaw = capture.Event{}, FlawUnreadable
	case e.event.Type != e.Type || !capture.SameTrade(e.event.TradeID, e.Trade):
		e.flaw = FlawMisfiled
	}
}

func (e *Entry) readable() bool { return e.flaw != FlawUnreadable }

// at returns the time in the event, or the ledger's time if it has none.
func (e *Entry) at() time.Time {
	if micros(e.event.Time) == nil {
		return e.Stored
	}
	return e.event.Time
}

// story is the fold of a trade's events for its row.
type story struct {
	state             capture.State
	money             evidence
	firstSeq, lastSeq uint64
	firstAt, lastAt   time.Time
	lastType          capture.EventType
	worker            string
	flaws             int64
	corrections       int64
}

// evidence holds the gateway's details of the payment: from the event that proved
// the capture, completed from the others.
type evidence struct {
	settlementAmount, settlementCurrency, rate string
	transaction, gatewayOrder, response        string
	paidAt                                     time.Time
	proved                                     bool // the event that proved the capture was folded
}

// add folds one more event, in the ledger's order.
func (s *story) add(e *Entry) {
	if s.firstSeq == 0 {
		s.firstSeq, s.firstAt = e.Seq, e.at()
	}
	s.lastSeq, s.lastAt, s.lastType = e.Seq, e.at(), e.Type
	if e.flaw != "" {
		s.flaws++
	}
	if !e.readable() {
		return
	}
	if s.state.Phase != capture.PhaseCaptured || e.event.Type == capture.Captured {
		s.worker = e.event.Worker
	}
	if e.event.Corrects != "" {
		s.corrections++
	}
	s.money.see(&e.event)
	s.state.Add(&e.event)
}

func (m *evidence) see(e *capture.Event) {
	proves := e.Type == capture.Captured && !m.proved
	if a := e.Answer; a != nil {
		if a.ResponseID != "" && (proves || !m.proved) {
			m.response = a.ResponseID
		}
		if a.Order != nil {
			m.order(a.Order, proves)
		}
	}
	if n := e.Notification; n.SaysPaid() {
		prefer(&m.transaction, n.TransactionID, false)
		prefer(&m.gatewayOrder, n.OrderID, false)
		if m.paidAt.IsZero() {
			m.paidAt = capture.UnixSeconds(n.PaidTime)
		}
	}
	m.proved = m.proved || proves
}

func (m *evidence) order(o *capture.Order, proves bool) {
	prefer(&m.transaction, o.TransactionID, proves)
	prefer(&m.gatewayOrder, o.OrderID, proves)
	if o.State.Class() != capture.OrderIsPaid {
		return
	}
	prefer(&m.settlementAmount, o.SettlementAmount, proves)
	prefer(&m.settlementCurrency, o.SettlementCurrency, proves)
	prefer(&m.rate, o.ExchangeRate, proves)
	if paid := capture.UnixSeconds(o.PaidTime); !paid.IsZero() && (proves || m.paidAt.IsZero()) {
		m.paidAt = paid
	}
}

// prefer keeps the first value, unless the new one is better.
func prefer(to *string, value string, better bool) {
	if value != "" && (better || *to == "") {
		*to = value
	}
}

// minorUnits returns an amount in minor units, nil for none and for one that a
// column cannot hold.
func minorUnits(a capture.Amount) any {
	n, err := strconv.ParseInt(strings.Replace(a.Number(), ".", "", 1), 10, 64)
	if a.IsZero() || err != nil {
		return nil
	}
	return n
}

// caseKind returns the kind of an unsettled trade, nil for a settled one.
func caseKind(s *capture.State) any {
	switch s.Phase {
	case capture.PhaseParked:
		if s.Dismissed {
			return nil
		}
		return CaseParked
	case capture.PhaseCaptured:
		return nil
	case capture.PhaseFailed:
		if s.NotifiedPaid.IsZero() {
			return nil
		}
		return CaseContradicted
	}
	return CaseOpen
}

var tradesTable = table{name: "trades", columns: []column{
	{"trade", text}, {"trade_id", text}, {"phase", text}, {"case_kind", text}, {"events", number}, {"flaws", number},
	{"first_seq", number}, {"last_seq", number}, {"first_at", number}, {"last_at", number}, {"last_type", text},
	{"order_id", text}, {"amount", text}, {"currency", text}, {"minor", number},
	{"reason", text}, {"outcome_id", text}, {"learned_at", number}, {"paid_at", number}, {"booked_at", number},
	{"taken_amount", text}, {"taken_currency", text}, {"taken_minor", number},
	{"settlement_amount", text}, {"settlement_currency", text}, {"exchange_rate", text},
	{"transaction_id", text}, {"gateway_order", text}, {"response_id", text}, {"request_id", text},
	{"attempt", number}, {"calls", number}, {"worker", text}, {"rule", text}, {"corrects", text}, {"corrections", number},
	{"doubted", flag}, {"withdrawn", flag}, {"dismissed", flag}, {"contradicted", flag},
	{"opened_at", number}, {"retry_at", number}, {"deadline", number},
}}.update("trade")

// row returns the row of the trade.
func (s *story) row(trade string, window time.Duration) []any {
	st := &s.state
	job, o := &st.Job, s.outcome()
	phase := st.Phase
	if phase == "" {
		phase = capture.PhaseNew
	}
	deadline := micros(st.Deadline(window))
	if deadline == nil {
		deadline = int64(noDeadline)
	}
	opened := micros(st.OpenedAt)
	if opened == nil {
		opened = o.learned
	}
	if opened == nil {
		opened = s.firstAt.UnixMicro()
	}
	return []any{
		trade, cmp.Or(job.TradeID, trade), string(phase), caseKind(st), int64(st.Events), s.flaws,
		int64(s.firstSeq), int64(s.lastSeq), s.firstAt.UnixMicro(), s.lastAt.UnixMicro(), string(s.lastType),
		textOf(cmp.Or(job.OrderID, o.order)), textOf(job.Amount.Number()), textOf(job.Amount.Currency()), minorUnits(job.Amount),
		o.reason, o.id, o.learned, micros(s.money.paidAt), o.booked,
		textOf(o.taken.Number()), textOf(o.taken.Currency()), minorUnits(o.taken),
		textOf(s.money.settlementAmount), textOf(s.money.settlementCurrency), textOf(s.money.rate),
		textOf(s.money.transaction), textOf(s.money.gatewayOrder), textOf(s.money.response), textOf(st.RequestID),
		int64(st.Attempt), int64(st.Call), s.worker, o.rule, o.corrects, s.corrections,
		st.Doubted, st.Withdrawn, st.Dismissed, st.Contradicted,
		opened, micros(st.RetryAt), deadline,
	}
}

// outcome returns the columns of the current outcome, all nil without one.
type outcome struct {
	id, reason, rule, corrects, learned, booked any

	order string
	taken capture.Amount
}

func (s *story) outcome() outcome {
	e := s.state.Outcome
	if e == nil {
		return outcome{}
	}
	o := outcome{
		id: textOf(e.ID), reason: textOf(e.Reason), rule: textOf(e.Rule), corrects: textOf(e.Corrects),
		learned: micros(e.Time), order: e.OrderID,
	}
	if o.learned == nil {
		o.learned = s.lastAt.UnixMicro()
	}
	if e.Type == capture.Captured {
		o.taken = e.Sum()
	}
	if o.booked = micros(s.money.paidAt); o.booked == nil || e.Type != capture.Captured {
		o.booked = o.learned
	}
	return o
}
