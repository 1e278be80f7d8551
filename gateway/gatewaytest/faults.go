package gatewaytest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Fault is the name of a fault. A call has at most one.
type Fault string

// The faults; [Knobs] describes them.
const (
	NoFault Fault = "" // in a Step: no fault

	ErrorBefore     Fault = "error_before"
	ErrorAfter      Fault = "error_after"
	ErrorLate       Fault = "error_late"
	Refused         Fault = "refused"
	OddCode         Fault = "odd_code"
	HangBefore      Fault = "hang_before"
	HangAfter       Fault = "hang_after"
	ResetBefore     Fault = "reset_before"
	ResetAfter      Fault = "reset_after"
	TruncatedBefore Fault = "truncated_before"
	TruncatedAfter  Fault = "truncated_after"
	HTML502Before   Fault = "html502_before"
	HTML502After    Fault = "html502_after"
	Status429Before Fault = "status429_before"
	Status429After  Fault = "status429_after"
	Late            Fault = "late"
	Slow            Fault = "slow"
	Pending         Fault = "pending"

	QueryError        Fault = "query_error"
	QueryHang         Fault = "query_hang"
	QueryReset        Fault = "query_reset"
	Query502          Fault = "query_502"
	QueryStale        Fault = "query_stale"
	QueryUnknownState Fault = "query_unknown_state"
	QueryNoTrade      Fault = "query_no_trade"
	QueryOddCode      Fault = "query_odd_code"
	QuerySlow         Fault = "query_slow"

	NotifyEarly      Fault = "notify_early"
	NotifyLate       Fault = "notify_late"
	NotifyTwice      Fault = "notify_twice"
	NotifyOutOfOrder Fault = "notify_out_of_order"
	NotifyLost       Fault = "notify_lost"
	NotifyForged     Fault = "notify_forged"
)

// Target is the kind of call that a fault affects.
type Target string

// The targets.
const (
	OnCapture Target = "capture"
	OnQuery   Target = "query"
	OnNotify  Target = "notify"
)

// Knob is a fault with its target and description.
type Knob struct {
	Name Fault
	On   Target
	Doc  string
}

var knobs = []Knob{
	{ErrorBefore, OnCapture, "-1000; the capture did not take effect"},
	{ErrorAfter, OnCapture, "-1000; the capture took effect"},
	{ErrorLate, OnCapture, "-1000; the capture lands within Timing.ErrorLateBy of the answer"},
	{Refused, OnCapture, "a refusal of the gateway's table (-3001, -4084, -4085, -4089, -4024), though nothing is wrong; no effect"},
	{OddCode, OnCapture, "one of two codes that no page documents; no effect"},
	{HangBefore, OnCapture, "no answer until the client goes away; no effect"},
	{HangAfter, OnCapture, "no answer until the client goes away; took effect"},
	{ResetBefore, OnCapture, "the connection is reset; no effect"},
	{ResetAfter, OnCapture, "the connection is reset; took effect"},
	{TruncatedBefore, OnCapture, "the answer (a -1000) breaks off half way; no effect"},
	{TruncatedAfter, OnCapture, "the answer breaks off half way; took effect"},
	{HTML502Before, OnCapture, "HTTP 502 with a page of HTML; no effect"},
	{HTML502After, OnCapture, "HTTP 502 with a page of HTML; took effect"},
	{Status429Before, OnCapture, "HTTP 429 with Retry-After; no effect"},
	{Status429After, OnCapture, "HTTP 429 with Retry-After; took effect"},
	{Late, OnCapture, "the connection hangs or is reset now, the capture lands within Timing.LateBy"},
	{Slow, OnCapture, "the answer comes Timing.SlowBy later"},
	{Pending, OnCapture, "accepted as pending, paid after Timing.PendingFor"},
	{QueryError, OnQuery, "-1000"},
	{QueryHang, OnQuery, "no answer until the client goes away"},
	{QueryReset, OnQuery, "the connection is reset"},
	{Query502, OnQuery, "HTTP 502 with a page of HTML"},
	{QueryStale, OnQuery, "shows the state as it was Timing.StaleBy ago"},
	{QueryUnknownState, OnQuery, "shows a state that no page documents"},
	{QueryNoTrade, OnQuery, "-4024, as if there were no such trade"},
	{QueryOddCode, OnQuery, "one of two codes that no page documents"},
	{QuerySlow, OnQuery, "the answer comes Timing.SlowBy later"},
	{NotifyEarly, OnNotify, "sent before the capture call is answered"},
	{NotifyLate, OnNotify, "sent Timing.NotifyLateBy after the capture"},
	{NotifyTwice, OnNotify, "sent, and sent again though it was accepted"},
	{NotifyOutOfOrder, OnNotify, "an older state is sent after the newer one"},
	{NotifyLost, OnNotify, "never sent"},
	{NotifyForged, OnNotify, "besides the genuine one, if any: a lie with a bad signature"},
}

// Knobs returns all faults in a fixed order.
func Knobs() []Knob { return slices.Clone(knobs) }

func knobOf(f Fault) (Knob, bool) {
	i := slices.IndexFunc(knobs, func(k Knob) bool { return k.Name == f })
	if i < 0 {
		return Knob{}, false
	}
	return knobs[i], true
}

// Faults has the probability, 0 to 1, of each fault; an absent one is 0. The sum of the
// probabilities per target, without NotifyForged, must be at most 1.
type Faults map[Fault]float64

// Validate returns an error for an unknown name, a probability outside 0 to 1, or a sum
// above 1.
func (f Faults) Validate() error {
	sums := map[Target]float64{}
	for name, p := range f {
		knob, ok := knobOf(name)
		if !ok {
			return fmt.Errorf("gateway simulator: unknown fault %q", name)
		}
		if !(p >= 0 && p <= 1) {
			return fmt.Errorf("gateway simulator: the probability of %s is %v, it must be between 0 and 1", name, p)
		}
		if name != NotifyForged {
			sums[knob.On] += p
		}
	}
	for on, sum := range sums {
		// Allow for rounding, as in ten times 0.1.
		if sum > 1+1e-9 {
			return fmt.Errorf("gateway simulator: the probabilities of the %s faults sum to %.3g, more than 1", on, sum)
		}
	}
	return nil
}

var presets = map[string]Faults{
	"calm": {},
	"rough": {
		ErrorBefore: .03, ErrorAfter: .02, ResetBefore: .01, ResetAfter: .01,
		HTML502Before: .01, HTML502After: .005, Slow: .02,
		QueryError: .02, QueryReset: .01, Query502: .01,
	},
	// A third of the capture calls and 15 % of the queries have a fault. An unknown
	// state is rare, because it parks the trade.
	"hostile": {
		ErrorBefore: .03, ErrorAfter: .02, ErrorLate: .02, Refused: .01, OddCode: .01, HangBefore: .01, HangAfter: .01,
		ResetBefore: .02, ResetAfter: .02, TruncatedBefore: .01, TruncatedAfter: .01,
		HTML502Before: .02, HTML502After: .02, Status429Before: .02, Status429After: .01,
		Late: .02, Slow: .04, Pending: .03,
		QueryError: .04, QueryHang: .01, QueryReset: .02, Query502: .03,
		QueryStale: .02, QueryUnknownState: .005, QuerySlow: .01, QueryNoTrade: .01, QueryOddCode: .005,
		NotifyEarly: .1, NotifyLate: .1, NotifyTwice: .1, NotifyOutOfOrder: .1,
		NotifyLost: .1, NotifyForged: .1,
	},
}

// Preset returns a named set of faults: calm has none, rough has some that are common,
// hostile has all.
func Preset(name string) (Faults, error) {
	f, ok := presets[name]
	if !ok {
		return nil, fmt.Errorf("gateway simulator: unknown faults preset %q; use one of %s", name, strings.Join(Presets(), ", "))
	}
	return maps.Clone(f), nil
}

// Presets returns the names of the presets, the mildest first.
func Presets() []string { return []string{"calm", "rough", "hostile"} }

// Down is an outage, which affects every call.
type Down string

// The outages. To refuse connections, close the server's listener.
const (
	Up        Down = ""      // no outage
	DownReset Down = "reset" // every connection is reset
	DownHang  Down = "hang"  // no call is answered
	Down502   Down = "502"   // every call gets HTTP 502
)

// Validate returns an error for an unknown outage.
func (d Down) Validate() error {
	switch d {
	case Up, DownReset, DownHang, Down502:
		return nil
	}
	return fmt.Errorf("gateway simulator: unknown outage %q; use reset, hang, 502 or \"\" for none", d)
}
