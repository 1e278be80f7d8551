package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// Plan determines one history. It is plain data, which shrinking reduces.
type Plan struct {
	Seed uint64
	// Wild plans break the assumptions of the rules: requests take effect after the
	// settle time. Fewer invariants are checked for them, see docs/simulation.md.
	Wild      bool
	Measure   bool // broken rules are counted, and the history continues
	Mood      string
	Odds      [faultCount]float64
	Off       [faultCount]bool // switched off, without shifting the others
	FaultsEnd time.Duration    // no faults after this time

	Gateway    GatewayPlan
	MaxPending int // MaxAckPending of the consumer
	Workers    []WorkerPlan
	Trades     []TradePlan
	Accidents  []Accident
	// CrashAt crashes the worker that makes the n-th crossing of a boundary,
	// at that crossing; 0 is never.
	CrashAt int
}

// GatewayPlan holds the switches for what could not be checked against the
// live gateway.
type GatewayPlan struct {
	Repeated       repeatMode
	SecondCode     string        // the code of a second capture, with OneCapture
	OneCapture     bool          // otherwise captures are possible as long as the authorized sum allows
	ShowAuthorized bool          // Order Query shows the authorized amount
	ShowRemaining  bool          // for a while Order Query shows a captured trade as authorized, with the remaining sum
	ShowExpired    bool          // Order Query shows expired after the window
	Lag            time.Duration // how old every query's view is; only with OneCapture
	Window         time.Duration // how long it keeps authorizations; the workers have the same setting
}

// repeatMode is how the gateway handles a repeated request_id.
type repeatMode string

const (
	replay      repeatMode = "replay"
	refuse      repeatMode = "refuse"
	replayError repeatMode = "replay_error"
	rerun       repeatMode = "rerun" // like a new one
)

// WorkerPlan is one worker process.
type WorkerPlan struct {
	Name  string
	Skew  time.Duration // the error of its clock
	Slots int           // gateway calls in flight
	Hands int           // jobs in flight
	Room  int           // jobs that may wait inside
}

// TradePlan is one authorization and the jobs that name it.
type TradePlan struct {
	No         int // its number in the original plan, for its dice
	ID         string
	Authorized capture.Amount
	Known      bool               // to the gateway
	Begins     capture.OrderState // its state there
	Taken      capture.Amount     // the sum that another system captured before the start
	Expires    time.Duration
	Short      bool // it expires long before the configured window
	Jobs       []JobPlan
	Looks      []time.Duration // when a batch reconciles it
	Release    time.Duration   // how long after parking an operator releases it; 0 is never
	Retry      time.Duration   // how long after failing an operator retries it; 0 is never
	Withdraw   time.Duration   // when its job is withdrawn; 0 is never
	ByOrder    bool            // its order is what is withdrawn
	// The codes that every capture call and every query get, in turn; empty means
	// none.
	Stubborn      []string
	StubbornQuery []string
}

// JobPlan is one message.
type JobPlan struct {
	At        time.Duration
	Body      []byte
	Job       capture.Job // the request in the body
	Malformed string      // the expected dead-letter reason
}

// Accident is a fault of a whole process.
type Accident struct {
	Kind     accidentKind
	Worker   int
	At       time.Duration
	For      time.Duration
	Code     string  // for refusal: the code of every capture call
	Share    float64 // for restore: the part of the ledger's events that the backup has
	Recreate bool    // for restore: the consumer is created again too
}

type accidentKind string

const (
	crash      accidentKind = "crash"
	freeze     accidentKind = "freeze"
	stopGently accidentKind = "stop"
	outage     accidentKind = "gateway down"
	badKey     accidentKind = "key refused"
	foreign    accidentKind = "wrong account"
	refusal    accidentKind = "calls refused"
	restore    accidentKind = "ledger restored"
)

// epoch is far ahead of every real clock, so that a context.WithDeadline with a
// simulated time never expires.
var epoch = time.Date(2150, 1, 1, 0, 0, 0, 0, time.UTC)

// NewPlan returns the plan of a seed.
func NewPlan(seed uint64) Plan {
	d := newDice(seed, onPlan, 0, 0)
	p := Plan{Seed: seed, Wild: seed%8 == 7, MaxPending: []int{1000, 1000, 40, 16}[d.pick(saltHow, 4)]}
	p.FaultsEnd = d.between(saltLong, time.Minute, 8*time.Minute)
	switch u := d.unit(saltTime); {
	case u < .04:
		p.FaultsEnd = d.between(saltLong, 12*time.Hour, 4*24*time.Hour)
	case u < .2:
		p.FaultsEnd = d.between(saltLong, 10*time.Minute, 2*time.Hour)
	}
	p.setOdds(d)
	p.Gateway = planGateway(d, p.Wild)
	p.planWorkers(d)
	p.planAccidents(d)
	for i := range 1 + newDice(seed, onPlan, 1, 0).pick(saltWho, 4) {
		p.Trades = append(p.Trades, p.planTrade(i))
	}
	return p
}

var moods = []struct {
	name  string
	scale float64
}{{"calm", 0}, {"rough", .5}, {"rough", .5}, {"hostile", 1}, {"hostile", 1}, {"hostile", 1}, {"brutal", 1.8}, {"brutal", 1.8}}

// setOdds leaves some faults out completely, so that the others coincide more
// often.
func (p *Plan) setOdds(d dice) {
	mood := moods[d.pick(saltKind, len(moods))]
	p.Mood = mood.name
	for f := NoFault + 1; f < faultCount; f++ {
		info := faultTable[f]
		if d.chance(saltLast+int(f), .65) && (p.Wild || !info.wild) {
			p.Odds[f] = info.odds * mood.scale
		}
	}
}

func planGateway(d dice, wild bool) GatewayPlan {
	g := GatewayPlan{
		Repeated:       []repeatMode{replay, refuse, replayError, rerun}[d.pick(saltShape, 4)],
		SecondCode:     []string{capture.CodeTradeID, capture.CodeAmountExceeded, capture.CodeInternal, "-4999"}[d.pick(saltWay, 4)],
		OneCapture:     wild || d.chance(saltMore, .4),
		ShowAuthorized: d.chance(saltAmount, .4),
		ShowExpired:    d.chance(saltExtra, .5),
		Window:         capture.AuthorizationWindow,
	}
	if d.chance(saltLast+int(faultCount)+2, .1) {
		g.Window = d.between(saltLast+int(faultCount)+3, 20*time.Minute, 2*time.Hour)
	}
	switch u := d.unit(saltLast + int(faultCount)); {
	case wild:
	case u < .12:
		g.OneCapture, g.Lag = true, d.between(saltLast+int(faultCount)+1, 0, lagBy)
	case u < .2:
		g.ShowRemaining = true
	}
	return g
}

func (p *Plan) planWorkers(d dice) {
	for i := range 1 + d.pick(saltWho, 4) {
		w := newDice(p.Seed, onPlan, 2, i)
		p.Workers = append(p.Workers, WorkerPlan{
			Name:  fmt.Sprintf("w%d", i+1),
			Skew:  w.between(saltTime, 0, 2*skewBy) - skewBy,
			Slots: 1 + w.pick(saltHow, 3), Hands: 2 + w.pick(saltMore, 6), Room: w.pick(saltLong, 4),
		})
	}
}

func (p *Plan) planAccidents(d dice) {
	if p.Mood == "calm" {
		return
	}
	kinds := []accidentKind{crash, crash, crash, freeze, freeze, stopGently, outage, badKey, foreign, refusal, refusal, restore}
	for i := range d.pick(saltStall, 5) {
		a := newDice(p.Seed, onPlan, 3, i)
		accident := Accident{
			Kind: kinds[a.pick(saltKind, len(kinds))], Worker: a.pick(saltWho, len(p.Workers)),
			At:  a.between(saltTime, 0, min(p.FaultsEnd, 3*time.Minute)),
			For: a.between(saltLong, time.Second, 4*time.Minute),
		}
		if a.chance(saltHow, .5) {
			accident.At = a.between(saltTime, 0, 3*time.Second) // while the first jobs are being published
		}
		if accident.Kind.shared() && accident.Kind != restore && a.chance(saltMore, .3) {
			accident.For = a.between(saltLong, 0, p.FaultsEnd)
		}
		accident.For = min(accident.For, max(p.FaultsEnd-accident.At, time.Second))
		if accident = p.detail(accident, a); accident.Kind != "" {
			p.Accidents = append(p.Accidents, accident)
		}
	}
}

// shared reports whether the accident affects all workers.
func (k accidentKind) shared() bool {
	switch k {
	case outage, badKey, foreign, refusal, restore:
		return true
	}
	return false
}

// detail sets the members that depend on the kind of accident.
func (p *Plan) detail(a Accident, d dice) Accident {
	switch a.Kind {
	case refusal:
		a.Code = []string{capture.CodeFieldMissing, capture.CodeAmountExceeded, capture.CodeTradeID, "-7777"}[d.pick(saltShape, 4)]
	case restore:
		if p.Wild || p.Gateway.Lag > 0 || p.Gateway.ShowRemaining {
			return Accident{} // otherwise the gateway would not show the lost captures in time
		}
		if slices.ContainsFunc(p.Accidents, func(e Accident) bool { return e.Kind == restore }) {
			return Accident{}
		}
		a.For = d.between(saltLong, restoreLeast, 5*time.Minute)
		a.Share, a.Recreate = d.unit(saltShape), d.chance(saltAmount, .5)
	}
	return a
}

var sums = []string{"30.00 EUR", "30.00 EUR", "12.50 USD", "5000 JPY"}

func (p *Plan) planTrade(no int) TradePlan {
	d := newDice(p.Seed, onTrade, no, 0)
	t := TradePlan{
		No: no, ID: p.tradeID(no), Known: !d.chance(saltHow, .02), Begins: capture.OrderAuthorized,
		Authorized: sum(sums[d.pick(saltAmount, len(sums))]), Expires: p.Gateway.Window,
	}
	switch u := d.unit(saltKind); {
	case !t.Known:
	case u < .02:
		t.Begins = capture.OrderDeclined
	case u < .04:
		t.Begins = capture.OrderCancelled
	case u < .055:
		t.Begins, t.Taken = capture.OrderPaid, t.Authorized
	case u < .06:
		t.Begins = capture.OrderRefunded
	case u < .066:
		t.Begins = capture.OrderProcessing // in every plan of this kind; its time is over soon
		t.Expires = d.between(saltTime, 5*time.Second, 10*time.Minute)
	case u < .15:
		t.Expires = d.between(saltTime, 5*time.Second, 10*time.Minute)
		t.Short = d.chance(saltShape, .5)
	}
	for i := range 1 + d.pick(saltMore, 3)*d.pick(saltExtra, 2) {
		t.Jobs = append(t.Jobs, p.planJobs(t, i)...)
	}
	for i := range d.pick(saltLong, 3) {
		t.Looks = append(t.Looks, newDice(p.Seed, onTrade, no, 1+i).between(saltTime, 0, 10*time.Minute))
	}
	if d.chance(saltWho, .8) {
		t.Release = d.between(saltBack, time.Second, 20*time.Minute)
	}
	p.planOddities(&t, newDice(p.Seed, onTrade, no, 100))
	return t
}

// tradeID returns the trade_id of a trade; few have a UUID.
func (p *Plan) tradeID(no int) string {
	if newDice(p.Seed, onTrade, no, 101).chance(saltHow, .15) {
		return fmt.Sprintf("0A%02dbCdE-00aa-4bBb-8cCc-00000000%04d", no, p.Seed%10000)
	}
	return fmt.Sprintf("T%d", no+1)
}

// stubborn holds the answers that every call of a trade may get.
var stubborn = [][]string{
	{"-7777"}, {"-7777", "-8888"}, {capture.CodeInternal}, {capture.CodeFieldMissing}, {capture.CodeAmountExceeded},
	{capture.CodeFieldMissing, "-7777"}, {capture.CodeWindowExceeded}, {capture.CodeRequestID}, {capture.CodeInternal, capture.CodeRequestID},
}

// planOddities plans the rare events of a trade.
func (p *Plan) planOddities(t *TradePlan, d dice) {
	if d.chance(saltKind, .5) {
		t.Retry = d.between(saltBack, time.Second, 20*time.Minute)
	}
	if d.chance(saltTime, .06) {
		t.Withdraw = d.between(saltLong, time.Millisecond, 5*time.Second)
		if d.chance(saltMore, .5) {
			t.Withdraw = d.between(saltLong, time.Second, 10*time.Minute)
		}
		t.ByOrder = d.chance(saltAmount, .5)
	}
	if t.Begins != capture.OrderAuthorized || p.Mood == "calm" {
		return
	}
	switch u := d.unit(saltShape); {
	case u < .03:
		t.Stubborn = stubborn[d.pick(saltWay, len(stubborn))]
	case u < .04:
		t.StubbornQuery = [][]string{{"-7777"}, {"-7777", "-8888"}}[d.pick(saltWay, 2)]
	}
}

func sum(s string) capture.Amount {
	var number, code string
	if _, err := fmt.Sscan(s, &number, &code); err != nil {
		panic(err)
	}
	a, err := capture.ParseAmount(number, code)
	if err != nil {
		panic(err)
	}
	return a
}

// soonGivenUp replaces the 72 hours of give_up_after in plans with a trade that
// stays in processing without end: the decisions are the same, without thousands of
// queries.
const soonGivenUp = 2 * time.Hour

// stuck reports whether a trade can only end by being given up.
func (p Plan) stuck() bool {
	return slices.ContainsFunc(p.Trades, func(t TradePlan) bool { return t.Begins == capture.OrderProcessing })
}

func (p Plan) policy() capture.Policy {
	with := policy
	with.Window = p.Gateway.Window
	if p.stuck() {
		with.GiveUpAfter = soonGivenUp
	}
	return with
}

// patience returns how long settling may take after the faults have stopped.
func (p Plan) patience() time.Duration {
	switch {
	case slices.ContainsFunc(p.Trades, func(t TradePlan) bool { return len(t.Stubborn)+len(t.StubbornQuery) > 0 }):
		return settleWithin + stubbornFor
	case p.stuck():
		return settleWithin + soonGivenUp
	}
	return settleWithin
}

// stubbornFor returns how long it takes to use up the request_ids of a trade whose
// calls are always answered -1000.
const stubbornFor = 15 * time.Hour
