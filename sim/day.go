package sim

import (
	"fmt"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// The two kinds of plans in this file measure instead of searching for broken
// rules: many trades of one shop, with one job each, on a bad day.

// dayTrades is how many trades a shop has on such a day.
const dayTrades = 20

// hostileOdds holds the probabilities of gatewaytest's hostile preset, and those of
// faults that gatewaytest does not have.
var hostileOdds = map[Fault]float64{
	CaptureErrorBefore: .03, CaptureErrorAfter: .02, CaptureErrorLate: .01, CaptureLostBefore: .06, CaptureLostAfter: .06,
	CaptureLate: .03, CaptureSlow: .04, CapturePending: .03, CaptureRefused: .005, CaptureOddCode: .005,
	QueryError: .04, QueryLost: .06, QuerySlow: .015, QueryStale: .03, QueryNoTrade: .01, QueryOddCode: .005,
	NotifyLost: .1, NotifyTwice: .1, NotifyLate: .1,
}

// HostileDay returns the plan of one shop's day at a gateway with all faults. Its
// unverified behavior differs from seed to seed, and for some minutes it refuses
// good calls. No operator releases or retries a trade.
func HostileDay(seed uint64) Plan {
	d := newDice(seed, onPlan, 0, 0)
	p := day(seed)
	p.Mood = "hostile"
	for f, odds := range hostileOdds {
		p.Odds[f] = odds
	}
	p.Gateway = planGateway(d, false)
	p.Gateway.Window = capture.AuthorizationWindow
	if d.chance(saltWho, .25) {
		p.Accidents = append(p.Accidents, p.detail(Accident{
			Kind: refusal, At: d.between(saltTime, 0, time.Minute), For: time.Minute,
		}, d))
	}
	if d.chance(saltStall, .25) {
		p.Accidents = append(p.Accidents, Accident{
			Kind: crash, At: d.between(saltLong, 0, time.Minute), For: 10 * time.Second,
		})
	}
	return p
}

// RepeatsRefused returns the plan of a day at a gateway that answers a quarter of
// the capture calls with -1000, half of them after they took effect, and refuses
// every repeated request_id.
func RepeatsRefused(seed uint64) Plan {
	p := day(seed)
	p.Mood = "repeats refused"
	p.Odds[CaptureErrorBefore], p.Odds[CaptureErrorAfter] = .125, .125
	p.Gateway = GatewayPlan{
		Repeated: refuse, SecondCode: capture.CodeTradeID, OneCapture: seed%2 == 0, Window: capture.AuthorizationWindow,
	}
	return p
}

func day(seed uint64) Plan {
	p := Plan{Seed: seed, Measure: true, MaxPending: 1000, FaultsEnd: 24 * time.Hour}
	for i := range 2 {
		p.Workers = append(p.Workers, WorkerPlan{Name: fmt.Sprintf("w%d", i+1), Slots: 4, Hands: 20, Room: 10})
	}
	for no := range dayTrades {
		d := newDice(seed, onTrade, no, 0)
		t := TradePlan{
			No: no, ID: fmt.Sprintf("T%d", no+1), Known: true, Begins: capture.OrderAuthorized,
			Authorized: sum("30.00 EUR"), Expires: capture.AuthorizationWindow,
		}
		job := capture.Job{TradeID: t.ID, OrderID: fmt.Sprintf("A-%d", no+1), Amount: t.Authorized, AuthorizedAmount: t.Authorized}
		if d.chance(saltAmount, .3) {
			job.Amount = sum("24.99 EUR")
		}
		t.Jobs = []JobPlan{jobPlan(job, d.between(saltTime, 0, 2*time.Minute))}
		p.Trades = append(p.Trades, t)
	}
	return p
}
