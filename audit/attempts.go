package audit

import (
	"strings"

	"github.com/capture-worker/capture-worker/capture"
)

const (
	// minRequestID is the shortest request_id that rule 4 allows.
	minRequestID = 24
	// maxErrors is how many -1000 answers spend a request_id.
	maxErrors = 3
	// maxIDsRefused is how many new request_ids may be answered -4118.
	maxIDsRefused = 2
)

func (h *history) checkAttempt(e capture.Event) {
	h.checkIntent(e)
	h.checkNumbers(e)
	h.checkOpen(e)
	h.checkAllowed(e)
	h.checkCleared(e)
}

// checkIntent checks that the intent has everything its call needs and is not late
// (rules 1, 4, 10).
func (h *history) checkIntent(e capture.Event) {
	if !goodRequestID(e.RequestID) {
		h.add("4", e, "request_id %q is not at least %d letters and digits", e.RequestID, minRequestID)
	}
	if !e.LeaseUntil.After(e.Time) {
		h.add("1", e, "the intent has no lease")
	}
	if e.Job == nil {
		h.add("1", e, "the intent does not hold its job")
	}
	if d := h.deadlineOf(e.Job); !d.IsZero() && !e.Time.Before(d) {
		h.add("10", e, "a capture call at %s, after the deadline %s", e.Time, d)
	}
}

func goodRequestID(id string) bool {
	alien := func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z')
	}
	return len(id) >= minRequestID && !strings.ContainsFunc(id, alien)
}

// checkNumbers checks that calls count up by one, and attempts with each new request_id.
func (h *history) checkNumbers(e capture.Event) {
	c := h.last()
	if c == nil {
		if e.Call != 1 || e.Attempt != 1 {
			h.add("7", e, "the first intent is numbered attempt %d, call %d", e.Attempt, e.Call)
		}
		return
	}
	if e.Call != c.event.Call+1 {
		h.add("7", e, "call %d follows call %d", e.Call, c.event.Call)
	}
	fresh, next := e.RequestID != c.event.RequestID, e.Attempt != c.event.Attempt
	if fresh != next || (next && e.Attempt != c.event.Attempt+1) {
		h.add("7", e, "attempt %d follows attempt %d, new request_id: %t", e.Attempt, c.event.Attempt, fresh)
	}
	if fresh {
		h.checkNewID(e, *c)
	}
}

// checkNewID checks that a new request_id was permitted (rule 4).
func (h *history) checkNewID(e capture.Event, before call) {
	if h.sent(e.RequestID) {
		h.add("4", e, "request_id %s is that of an earlier attempt", e.RequestID)
		return
	}
	if n := h.stretch.ids; n >= h.p.MaxIDs {
		h.add("4", e, "a new request_id after %d, more than a trade may use", n)
	}
	if h.outcome != nil || h.newJob || h.reopened {
		return // another request, and an operator's retry, may have a new one
	}
	id := before.event.RequestID
	switch {
	case !h.refused[id] && h.errors[id] < maxErrors:
		h.add("4", e, "a new request_id, though the old one was neither refused nor answered -1000 %d times", maxErrors)
	case !h.quiet(lookOpen):
		h.add("4", e, "a new request_id before %d agreeing queries after the settle time", h.p.Agree)
	}
}

// checkOpen checks that no outcome forbids a call (rule 8).
func (h *history) checkOpen(e capture.Event) {
	c := h.last()
	switch {
	case h.outcome == nil:
		if c != nil && c.event.Job != nil && e.Job != nil && e.Job.Amount != c.event.Job.Amount && !h.reopened {
			h.add("8", e, "a retry asks for %s, the call before asked for %s", e.Job.Amount, c.event.Job.Amount)
		}
	case h.outcome.Type == capture.Parked:
		h.add("8", e, "a capture call for a parked trade that no operator released")
	case h.outcome.Type == capture.Failed && e.Job != nil && !h.isNewRequest(*e.Job):
		h.add("8", e, "a capture call for a failed trade that repeats the failed request")
	case h.outcome.Type == capture.Failed && c != nil && e.RequestID == c.event.RequestID:
		h.add("4", e, "another request with the request_id of the failed one")
	}
}

// isNewRequest reports whether the job differs from every request that failed. More time
// is a difference if a request failed for lack of time; no deadline is more time than
// one that was over.
func (h *history) isNewRequest(job capture.Job) bool {
	for _, f := range h.failed {
		if job.Amount == f.sum && !(f.window && h.moreTime(&job, f)) {
			return false
		}
	}
	return true
}

func (h *history) moreTime(job *capture.Job, f request) bool {
	if h.ownDeadline(job).IsZero() && f.limited {
		return true
	}
	deadline := h.deadlineOf(job)
	return !f.deadline.IsZero() && (deadline.IsZero() || deadline.After(f.deadline))
}

// checkAllowed checks that nothing known since the start, or since the trade was sent
// back, forbids further calls (rules 4, 5, 10, 11, 13).
func (h *history) checkAllowed(e capture.Event) {
	if h.withdrawn {
		h.add("13", e, "a capture call for a withdrawn job")
	}
	if t := h.stretch.notifiedPaid; !t.IsZero() {
		h.add("11", e, "a capture call, though a notification of %s says paid", t)
	}
	if n := h.round.inconclusive.n; n >= h.p.MaxAnswers {
		h.add("10", e, "a capture call after %d answers that settled nothing", n)
	}
	if h.round.dead != "" {
		h.add("5", e, "a capture call after an answer that said %s", h.round.dead)
	}
	if h.round.idsRefused >= maxIDsRefused {
		h.add("4", e, "a capture call after %d new request_ids were refused", h.round.idsRefused)
	}
}

// checkCleared checks the queries before a call. The first call needs none if the ledger
// is empty; each other call needs one that shows authorized, after the end of the call
// before it, and several if that call may still take effect (rules 2 and 3).
func (h *history) checkCleared(e capture.Event) {
	c := h.last()
	switch {
	case c == nil && h.seen == 0 && !h.p.AskFirst:
	case !h.askedSince(lookOpen):
		h.add("2", e, "no query said authorized since the last call ended")
	case h.lowered():
		h.add("3", e, "a capture call, though one in doubt may have lowered the authorized sum to %s", h.shownSum())
	case c != nil && h.lost(c) && !h.quiet(lookOpen):
		h.add("3", e, "the last call may still take effect, and not %d queries, %s apart, say authorized after %s",
			h.p.Agree, h.p.Spacing, c.ended.Add(h.p.Settle))
	}
	if c != nil && c.answer == nil && e.Time.Before(c.ended) {
		h.add("2", e, "a capture call while another one is in progress until %s", c.ended)
	}
}

func (h *history) checkAnswer(e capture.Event) {
	c := h.last()
	switch {
	case e.Answer == nil:
		h.add("1", e, "an answer without what was answered")
	case c == nil || e.Call > c.event.Call || e.Call < 1:
		h.add("1", e, "an answer to call %d, which the ledger does not announce", e.Call)
	case e.Call == c.event.Call && c.answer != nil:
		h.add("7", e, "call %d is answered twice", e.Call)
	}
}
