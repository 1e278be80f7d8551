package sim

import "time"

// place is the place of an occasion: a boundary that coroutines cross, or a choice
// of the plan.
type place uint8

// The boundaries, and the other places with random choices.
const (
	onEnter place = iota
	onSlot
	onAppend
	onLoad
	onLatest
	onCapture
	onQuery
	onWait
	onLetter
	onSignal
	boundaries // the number of boundaries

	onDelivery
	onKeep
	onNotify
	onUntrue
	onSchedule
	onRelease
	onStall
	onPlan
	onTrade
	onJob
)

var boundaryNames = [boundaries]string{
	"acquire", "take slot", "append", "load", "load latest", "capture call", "order query", "wait", "dead letter", "ack/nak/term",
}

// Fault is one kind of fault.
type Fault uint8

// The faults. The table below describes each.
const (
	NoFault Fault = iota
	AppendLost
	AppendUncertainStored
	AppendUncertainLate
	AppendUncertainGone
	AppendSlow
	LoadFails
	LoadStale
	LoadSlow
	LatestFails
	CaptureNotSent
	CaptureErrorBefore
	CaptureErrorAfter
	CaptureErrorLate
	CaptureLostBefore
	CaptureLostAfter
	CaptureLate
	CaptureSlow
	CapturePending
	CaptureDeclined
	CaptureDeclinedFalsely
	CaptureRefused
	CaptureOddCode
	CaptureTooLate
	CaptureHeldBack
	QueryNotSent
	QueryError
	QueryLost
	QuerySlow
	QueryStale
	QueryOddWord
	QueryOddCode
	QueryNoTrade
	QueryUnreadable
	QueryStill
	LetterFails
	LetterUncertain
	SignalLost
	SignalSlow
	KeepLost
	DeliveryLost
	NotifyLost
	NotifyTwice
	NotifyLate
	NotifyUntrue
	StallShort
	StallLong
	faultCount
)

type faultInfo struct {
	name string
	on   place
	odds float64 // in a hostile seed
	wild bool    // breaks an assumption that the rules rest on
	text string
}

var faultTable = [faultCount]faultInfo{
	NoFault:                {},
	AppendLost:             {"append_lost", onAppend, .02, false, "an append is not stored and reported as failed"},
	AppendUncertainStored:  {"append_uncertain_stored", onAppend, .02, false, "an append is stored and reported as uncertain"},
	AppendUncertainLate:    {"append_uncertain_late", onAppend, .01, false, "an append is reported as uncertain and tried on the store up to 30 s later"},
	AppendUncertainGone:    {"append_uncertain_gone", onAppend, .01, false, "an append is not stored and reported as uncertain"},
	AppendSlow:             {"append_slow", onAppend, .03, false, "an append takes up to 10 s"},
	LoadFails:              {"load_fails", onLoad, .02, false, "reading a trade fails"},
	LoadStale:              {"load_stale", onLoad, .08, false, "reading a trade shows only its first events"},
	LoadSlow:               {"load_slow", onLoad, .03, false, "reading a trade takes up to 10 s"},
	LatestFails:            {"latest_fails", onLatest, .03, false, "reading a trade after a conflict fails"},
	CaptureNotSent:         {"capture_not_sent", onCapture, .02, false, "no connection: the call is not sent"},
	CaptureErrorBefore:     {"capture_error_before", onCapture, .06, false, "-1000; no effect"},
	CaptureErrorAfter:      {"capture_error_after", onCapture, .06, false, "-1000; took effect"},
	CaptureErrorLate:       {"capture_error_late", onCapture, .05, false, "-1000; takes effect up to 20 s after the answer"},
	CaptureLostBefore:      {"capture_lost_before", onCapture, .04, false, "no answer (timeout, reset, 502, 429, broken body); no effect"},
	CaptureLostAfter:       {"capture_lost_after", onCapture, .04, false, "no answer (the same ways); took effect"},
	CaptureLate:            {"capture_late", onCapture, .05, false, "no answer; takes effect up to 35 s after the call ended"},
	CaptureSlow:            {"capture_slow", onCapture, .04, false, "the answer takes up to 40 s: beyond the timeout it is lost"},
	CapturePending:         {"capture_pending", onCapture, .03, false, "accepted, paid up to 10 min later"},
	CaptureDeclined:        {"capture_declined", onCapture, .01, false, "the capture ends as declined"},
	CaptureDeclinedFalsely: {"capture_declined_falsely", onCapture, .015, false, "answered as declined; the order stays authorized"},
	CaptureRefused:         {"capture_refused", onCapture, .04, false, "a code of the gateway's table, though nothing is wrong"},
	CaptureOddCode:         {"capture_odd_code", onCapture, .01, false, "one of two undocumented codes; no effect"},
	CaptureTooLate:         {"capture_too_late", onCapture, .06, true, "no answer; takes effect one to five minutes after the call ended: beyond the settle time"},
	CaptureHeldBack:        {"capture_held_back", onCapture, .03, true, "the worker freezes after its last look at the lease and sends the call minutes later"},
	QueryNotSent:           {"query_not_sent", onQuery, .02, false, "no connection: the query is not sent"},
	QueryError:             {"query_error", onQuery, .04, false, "-1000"},
	QueryLost:              {"query_lost", onQuery, .04, false, "no answer (timeout, reset, 502, 429, broken body)"},
	QuerySlow:              {"query_slow", onQuery, .03, false, "the answer takes up to 25 s and shows the state at the time of the query"},
	QueryStale:             {"query_stale", onQuery, .08, false, "shows the state of up to 10 s ago"},
	QueryOddWord:           {"query_odd_word", onQuery, .012, false, "shows an undocumented state"},
	QueryOddCode:           {"query_odd_code", onQuery, .01, false, "one of two undocumented codes"},
	QueryNoTrade:           {"query_no_trade", onQuery, .03, false, "the answer that there is no such trade"},
	QueryUnreadable:        {"query_unreadable", onQuery, .01, false, "the amount of a paid order cannot be read"},
	QueryStill:             {"query_still", onQuery, .03, false, "the coroutine pauses for up to 4 min after it has read and timed the answer"},
	LetterFails:            {"letter_fails", onLetter, .05, false, "a dead letter is not stored"},
	LetterUncertain:        {"letter_uncertain", onLetter, .05, false, "a dead letter is stored and reported as failed"},
	SignalLost:             {"signal_lost", onSignal, .05, false, "an ack, nak or term is lost"},
	SignalSlow:             {"signal_slow", onSignal, .03, false, "an ack, nak or term takes up to 90 s: longer than AckWait"},
	KeepLost:               {"keep_lost", onKeep, .2, false, "an in-progress signal is lost"},
	DeliveryLost:           {"delivery_lost", onDelivery, .02, false, "a delivery is lost on the way to the worker"},
	NotifyLost:             {"notify_lost", onNotify, .1, false, "a notification is never sent"},
	NotifyTwice:            {"notify_twice", onNotify, .1, false, "a notification is sent twice"},
	NotifyLate:             {"notify_late", onNotify, .1, false, "a notification comes up to ten minutes late"},
	NotifyUntrue:           {"notify_untrue", onUntrue, .02, false, "a verified notification says paid about an unpaid trade"},
	StallShort:             {"stall_short", onStall, .015, false, "a coroutine pauses for up to 5 s at a boundary"},
	StallLong:              {"stall_long", onStall, .015, false, "a coroutine pauses for up to 4 min at a boundary, beyond AckWait and lease"},
}

// String returns the fault's name.
func (f Fault) String() string { return faultTable[f].name }

// Faults returns every fault with its description, for documents.
func Faults() [][2]string {
	var list [][2]string
	for f := NoFault + 1; f < faultCount; f++ {
		list = append(list, [2]string{faultTable[f].name, faultTable[f].text})
	}
	return list
}

// faultsOn holds the faults of each place in the order of the table.
var faultsOn = func() (on [onJob + 1][]Fault) {
	for f := NoFault + 1; f < faultCount; f++ {
		on[faultTable[f].on] = append(on[faultTable[f].on], f)
	}
	return on
}()

// meets chooses the fault at one place, if any. A fault that is switched off
// becomes no fault and does not change the others.
func (s *Sim) meets(on place, d dice) Fault {
	if s.now >= s.plan.FaultsEnd {
		return NoFault
	}
	u := d.unit(saltFault)
	for _, f := range faultsOn[on] {
		if u -= s.plan.Odds[f]; u < 0 {
			if s.plan.Off[f] {
				return NoFault
			}
			s.Counts.Faults[f]++
			return f
		}
	}
	return NoFault
}

// Limits of the simulated environment. docs/simulation.md explains how they depend
// on each other.
const (
	lateBy   = 35 * time.Second // a lost call takes effect within this after its end
	lagBy    = 15 * time.Minute // how old every query's view may be in some plans
	errorBy  = 20 * time.Second // a call that was answered -1000 takes effect within this after its answer
	staleBy  = 10 * time.Second // how old a query's view may be
	skewBy   = 2 * time.Second  // how far a worker's clock is off
	lostLate = 30 * time.Second // an uncertain append arrives within this
	// restoreLeast is the shortest absence of the workers while the ledger is
	// restored: longer than a lost call needs to take effect.
	restoreLeast = lateBy + callTimeout + staleBy + 4*skewBy
)
