package audit

import "github.com/capture-worker/capture-worker/capture"

// checkReopened: an operator releases a parked trade, retries a failed one, or
// one that was withdrawn and has no outcome yet, and says who and why (rules 8
// and 13).
func (h *history) checkReopened(e capture.Event) {
	want := capture.Parked
	if e.Type == capture.Retried {
		want = capture.Failed
	}
	takenBack := e.Type == capture.Retried && h.withdrawn && h.outcome == nil
	if !takenBack && (h.outcome == nil || h.outcome.Type != want) {
		h.add("8", e, "%s, but the trade is not %s", e.Type, want)
	}
	h.checkSigned(e)
}

// checkDismissal: only a parked trade has a case to close (rule 8).
func (h *history) checkDismissal(e capture.Event) {
	if h.outcome == nil || h.outcome.Type != capture.Parked {
		h.add("8", e, "dismissed, but the trade is not parked")
	}
	h.checkSigned(e)
}

func (h *history) checkSigned(e capture.Event) {
	if e.By == "" || e.Note == "" {
		h.add("8", e, "%s without saying who or why", e.Type)
	}
}
