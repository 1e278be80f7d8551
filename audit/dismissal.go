package audit

import "github.com/capture-worker/capture-worker/capture"

// checkDismissal: only a parked trade has a case to close, and whoever closes
// it says why (rule 8).
func (h *history) checkDismissal(e capture.Event) {
	if h.outcome == nil || h.outcome.Type != capture.Parked {
		h.add("8", e, "dismissed, but the trade is not parked")
	}
	if e.By == "" || e.Note == "" {
		h.add("8", e, "dismissed without saying who or why")
	}
}
