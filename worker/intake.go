package worker

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/controls"
	"github.com/capture-worker/capture-worker/ledger"
)

// DefaultRefusalRun is the number of different trades refused with one code,
// without a capture between them, from which a fault of ours is assumed.
const DefaultRefusalRun = 20

const (
	// requestRun is the number for codes that refuse the request itself, whatever
	// its trade.
	requestRun = 3
	// proofLasts is how long a proof that our account is the right one is valid.
	proofLasts = time.Minute
	// intakeSlow limits the pauses between tries, as a multiple of the first.
	intakeSlow = 12
	// settledTail and deepTail are the numbers of the ledger's newest events that
	// are read: for the answers to other workers, and for a captured trade.
	settledTail = 500
	deepTail    = ledger.MaxTail
	// tailWait limits the time for reading them.
	tailWait = 5 * time.Second
)

// IntakeLedger is the part of the ledger that an Intake reads.
type IntakeLedger interface {
	ledger.Tailer
	Load(ctx context.Context, tradeID string) (ledger.Trade, error)
}

// IntakeConfig configures an Intake.
type IntakeConfig struct {
	Run        int           // different trades in a row; DefaultRefusalRun if 0
	ProbeEvery time.Duration // between the first tries while paused; the pauses grow
	// Settle is the time for a run to grow before one of its trades is failed, if
	// no captured trade is known.
	Settle time.Duration
	Most   int // jobs that may wait because they were refused while paused; 0 is 10,000
	Query  func(ctx context.Context, tradeID string) capture.Answer
	Ledger IntakeLedger // nil counts answers to this process only
	// Accepted, if set, returns the codes that operators accept, and until when.
	Accepted func(ctx context.Context) (map[string]controls.Acceptance, error)
	Log      *slog.Logger
}

// Intake decides whether the cause of refusals is the trades or us (rule 9). It
// counts different trades that are refused with one code, without a capture between
// them. After a run of them it queries a trade that was captured before: if the
// gateway knows that trade, our account is the right one, and the worker continues.
// Otherwise, or if no captured trade is known, or if the code refuses the request
// itself, it pauses the intake of jobs. While the intake is paused no refusal
// counts against a trade, and the intake resumes when a try succeeds.
type Intake struct {
	cfg        IntakeConfig
	keyRefused func() bool // the gateway refuses our key or user
	born       time.Time   // earlier captures prove nothing then: the settings may have changed

	mu       sync.Mutex
	runs     map[string]*refusalRun // by code
	known    knownTrade
	provenAt time.Time // when the gateway last knew it or captured a trade
	lookedAt time.Time // when the ledger was last searched for a captured trade
	accepted map[string]controls.Acceptance
	pause    *intakePause  // nil while the intake is not paused
	changed  chan struct{} // closed when pause changes, or a probe ends
	checking chan struct{} // closed when the current check ends; nil if there is none
	started  chan struct{} // closed when the ledger was read at the start
	log      intakeLog
}

// refusalRun holds the different trades that were refused with one code since the
// last capture.
type refusalRun struct {
	trades   map[string]time.Time // time of the refusal by key; at most as many as a run has
	youngest time.Time            // when the last one joined
}

// knownTrade is the last trade that was captured, as the gateway spells it.
type knownTrade struct {
	tradeID string
	at      time.Time
}

// intakePause is a pause of the intake.
type intakePause struct {
	kind   pauseKind
	code   string
	reason string
	since  time.Time

	probing bool      // one job is let through
	next    time.Time // when the next probe is due
	wait    time.Duration
	tried   map[string]triedTrade // by key
	lastTry time.Time
	every   time.Duration // measured time between two tries
}

// triedTrade is a trade that was refused while the intake was paused, or caused the
// pause.
type triedTrade struct {
	times int
	next  time.Time // the earliest time of the next try
}

type pauseKind int

const (
	// pauseAccount means that the gateway does not confirm a trade that was
	// captured before. That trade is queried until the gateway does.
	pauseAccount pauseKind = iota
	// pauseUnproven means that no captured trade is known. One job at a time is
	// processed, each trade once, until one is captured.
	pauseUnproven
	// pauseRequest means that the request itself is refused, which a query cannot
	// test. One job at a time is processed, after growing pauses.
	pauseRequest
)

// NewIntake returns an intake that is not paused. It needs Run to resume by itself.
func NewIntake(cfg IntakeConfig) *Intake {
	if cfg.Run <= 0 {
		cfg.Run = DefaultRefusalRun
	}
	if cfg.Most <= 0 {
		cfg.Most = 10_000
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Intake{
		cfg: cfg, keyRefused: func() bool { return false }, born: time.Now(),
		runs: map[string]*refusalRun{}, accepted: map[string]controls.Acceptance{},
		changed: make(chan struct{}), started: make(chan struct{}), log: newIntakeLog(cfg.Log),
	}
}

// PausedFor returns the reason of the pause, "" while the intake is not paused.
func (i *Intake) PausedFor() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.pause == nil {
		return ""
	}
	return i.pause.reason
}

// pauseLocked pauses the intake of jobs because of a code.
func (i *Intake) pauseLocked(kind pauseKind, code string) {
	if i.pause != nil {
		return
	}
	now := time.Now()
	p := &intakePause{kind: kind, code: code, since: now, wait: i.cfg.ProbeEvery, tried: map[string]triedTrade{}}
	p.next = now
	switch kind {
	case pauseAccount:
		p.reason = fmt.Sprintf("the gateway refuses different trades with code %s, and does not confirm a trade that was captured before: check gateway.url and gateway.user", code)
		p.next = now.Add(p.wait)
	case pauseUnproven:
		p.reason = fmt.Sprintf("the gateway refuses different trades with code %s, and no captured trade is known to test the account: one job at a time is tried; check gateway.url and gateway.user", code)
	case pauseRequest:
		p.reason = fmt.Sprintf("the gateway refuses our requests with code %s: one job at a time is tried; check gateway.notify_url and the other settings that a request contains", code)
		p.next = now.Add(p.wait)
	}
	if run := i.runs[code]; run != nil {
		for key := range run.trades {
			p.tried[key] = triedTrade{times: 1, next: now.Add(p.wait)}
		}
	}
	i.pause = p
	i.log.paused(p)
	i.changeLocked()
}

// resumeLocked resumes the intake.
func (i *Intake) resumeLocked(why string) {
	if i.pause == nil {
		return
	}
	i.log.resumed(i.pause, why)
	i.pause = nil
	i.changeLocked()
}

func (i *Intake) changeLocked() {
	close(i.changed)
	i.changed = make(chan struct{})
}

// Guard returns the guard for jobs that are not probes.
func (i *Intake) Guard() IntakeGuard { return &intakeGuard{Intake: i} }

// intakeGuard is the IntakeGuard of a probe, or of all other deliveries.
type intakeGuard struct {
	*Intake
	probe    bool
	key      string // of a probe: the trade
	admitted bool
}

// Admit implements IntakeGuard.
func (g *intakeGuard) Admit(tradeID string) error {
	i := g.Intake
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.pause == nil {
		return nil
	}
	if !g.probe {
		return fmt.Errorf("%w: %s", ErrPaused, i.pause.reason)
	}
	g.key = capture.TradeKey(tradeID)
	if !g.admitted && time.Now().Before(i.pause.tried[g.key].next) {
		return fmt.Errorf("%w: this trade was tried", ErrPaused)
	}
	g.admitted = true
	return nil
}

// delay delays a job until the next try of its trade.
func (g *intakeGuard) delay(d Disposition) Disposition {
	g.mu.Lock()
	defer g.mu.Unlock()
	if d.Do != Retry || g.pause == nil {
		return d
	}
	if next := g.pause.tried[g.key].next; next.After(d.At) {
		d.At = next
	}
	return d
}

// Observe implements IntakeGuard. It may read the ledger and ask the gateway
// about another trade before it returns.
func (g *intakeGuard) Observe(ctx context.Context, tradeID string, via capture.Via, a capture.Answer) (excused bool) {
	i := g.Intake
	if code := i.note(tradeID, via, a, g.probe); code != "" {
		i.check(ctx, code)
	}
	if a.Kind != capture.AnswerDone {
		i.waitForCheck(ctx)
	}
	return i.excuses()
}

// excuses reports whether refusals are assumed to be our own fault now.
func (i *Intake) excuses() bool {
	if i.keyRefused() {
		return true
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.pause != nil
}

// note counts an answer, and returns a code whose run is complete.
func (i *Intake) note(tradeID string, via capture.Via, a capture.Answer, probe bool) (suspect string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if paid(a) {
		i.paidLocked(tradeID, via)
		return ""
	}
	code := refusalCode(a)
	if i.pause != nil {
		i.notePausedLocked(tradeID, a, code, probe)
	}
	if code != capture.CodeFieldMissing && a.Kind == capture.AnswerRefused && !a.OurFault() {
		delete(i.runs, capture.CodeFieldMissing) // the run is interrupted
	}
	if code == "" || i.acceptedLocked(code) {
		return ""
	}
	i.joinLocked(code, capture.TradeKey(tradeID), time.Now())
	n := len(i.runs[code].trades)
	if n >= i.limit(code) || n%max(i.limit(code)/4, 1) == 0 {
		return code
	}
	return ""
}

// joinLocked adds a trade to the run of a code.
func (i *Intake) joinLocked(code, key string, at time.Time) {
	run := i.runs[code]
	if run == nil {
		run = &refusalRun{trades: map[string]time.Time{}}
		i.runs[code] = run
	}
	if _, known := run.trades[key]; known {
		return
	}
	if at.After(run.youngest) {
		run.youngest = at
	}
	if len(run.trades) < i.limit(code) {
		run.trades[key] = at
	}
}

// paidLocked ends every run after a capture. A capture shown by a query may be
// older: it proves the account, but not that our requests are correct.
func (i *Intake) paidLocked(tradeID string, via capture.Via) {
	now := time.Now()
	i.known = knownTrade{tradeID: tradeID, at: now}
	i.provenAt = now
	for code := range i.runs {
		if via == capture.ViaCapture || !aboutRequest(code) {
			delete(i.runs, code)
		}
	}
	if i.pause != nil && (via == capture.ViaCapture || !aboutRequest(i.pause.code)) {
		i.resumeLocked("a trade was captured")
	}
}

// notePausedLocked processes an answer that came while the intake was paused.
func (i *Intake) notePausedLocked(tradeID string, a capture.Answer, code string, probe bool) {
	p := i.pause
	if p.kind == pauseRequest && a.Kind == capture.AnswerRefused && code != p.code && !a.OurFault() {
		i.resumeLocked("the gateway accepted a request")
		return
	}
	if code == "" {
		return
	}
	key := capture.TradeKey(tradeID)
	tried := p.tried[key]
	tried.times++
	tried.next = time.Now().Add(i.restLocked(tried.times))
	p.tried[key] = tried
	if !probe {
		return // the call was under way when the intake was paused
	}
	p.paceLocked(time.Now())
	if p.kind == pauseRequest || len(p.tried) >= i.cfg.Most {
		p.wait = min(2*p.wait, intakeSlow*i.cfg.ProbeEvery)
		p.next = time.Now().Add(p.wait)
	}
}

// paceLocked measures the rate of tries. A single pause that is much longer than
// the others has little effect.
func (p *intakePause) paceLocked(now time.Time) {
	if !p.lastTry.IsZero() {
		p.every += (min(now.Sub(p.lastTry), 4*max(p.every, restPerTrade)) - p.every) / 4
	}
	p.lastTry = now
}

// restLocked returns the delay before the next try of a trade that was refused
// repeatedly while the intake is paused. The broker prefers redeliveries to new
// jobs, so waiting trades return at half the rate of the tries, to leave room for
// new jobs.
func (i *Intake) restLocked(times int) time.Duration {
	rest := i.cfg.ProbeEvery << min(times-1, 5)
	turn := max(restPerTrade, 2*i.pause.every)
	return min(max(rest, time.Duration(len(i.pause.tried))*turn), maxTriedRest)
}

const (
	restPerTrade = 50 * time.Millisecond
	maxTriedRest = 10 * time.Minute
)

func (i *Intake) limit(code string) int {
	if code == capture.CodeFieldMissing {
		return min(requestRun, i.cfg.Run)
	}
	return i.cfg.Run
}

// refusalCode returns the code of a refusal whose cause may be us instead of the
// trade, else "". A refusal that the order's state explains is about the trade.
func refusalCode(a capture.Answer) string {
	if a.Kind != capture.AnswerRefused {
		return ""
	}
	switch a.Code {
	case capture.CodeFieldMissing, capture.CodeRequestID, capture.CodeTradeID, capture.CodeAmountExceeded,
		capture.CodeCurrencyMismatch, capture.CodeWindowExceeded:
		return a.Code
	}
	return ""
}

// aboutRequest reports whether a code refuses the request itself, so that a query
// about another trade proves nothing.
func aboutRequest(code string) bool {
	return code == capture.CodeFieldMissing || code == capture.CodeRequestID
}

func paid(a capture.Answer) bool {
	return a.Kind == capture.AnswerDone && a.Order != nil && a.Order.State.Class() == capture.OrderIsPaid
}

func (i *Intake) acceptedLocked(code string) bool {
	a, ok := i.accepted[code]
	return ok && time.Now().Before(a.Until)
}

// accept replaces the codes that operators accept.
func (i *Intake) accept(accepted map[string]controls.Acceptance) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.accepted = maps.Clone(accepted)
	if i.pause == nil || !i.acceptedLocked(i.pause.code) {
		return
	}
	a := i.accepted[i.pause.code]
	delete(i.runs, i.pause.code)
	i.resumeLocked(fmt.Sprintf("%s accepts the code until %s: %s", a.By, a.Until.UTC().Format(time.RFC3339), a.Reason))
}
