package audit

import (
	"regexp"
	"strings"

	"github.com/capture-worker/capture-worker/capture"
)

var uuid = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

// key is the spelling of a trade_id in the ledger: a UUID is one trade in any
// letter case (rule 7).
func key(trade string) string {
	if uuid.MatchString(trade) {
		return strings.ToLower(trade)
	}
	return trade
}

// identity: one trade, one sequence of events (rule 7).
func (h *history) identity(e capture.Event) {
	if e.TradeID != h.trade {
		h.add("7", e, "an event of trade %q among those of %q", e.TradeID, h.trade)
	}
	if e.ID == "" || h.ids[e.ID] {
		h.add("7", e, "the id of the event is missing or used twice")
	}
	h.ids[e.ID] = true
	if e.Job == nil {
		return
	}
	if h.spelling == "" {
		h.spelling = e.Job.TradeID
	}
	switch {
	case key(e.Job.TradeID) != h.trade:
		h.add("7", e, "%s holds a job of trade %q", e.Type, e.Job.TradeID)
	case e.Type == capture.Attempted && e.Job.TradeID != h.spelling:
		h.add("7", e, "the gateway gets trade %q, the first job wrote %q", e.Job.TradeID, h.spelling)
	}
}

// afterCaptured: captured stands (rules 8 and 11).
func (h *history) afterCaptured(e capture.Event) {
	if h.outcome == nil || h.outcome.Type != capture.Captured {
		return
	}
	switch {
	case e.Type == capture.Attempted:
		h.add("8", e, "a capture call for a trade that is captured")
	case e.Type.Outcome() || e.Type == capture.Released || e.Type == capture.Retried:
		h.add("11", e, "%s after captured: captured is never taken back", e.Type)
	}
}
