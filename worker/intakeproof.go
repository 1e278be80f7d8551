package worker

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
)

// proof is the result of a query about a captured trade, which tests our account.
type proof int

const (
	proofNone   proof = iota // no trade is known that was captured
	proofSilent              // the gateway did not confirm the trade
	proofGood
)

// check finds the cause of a run of refusals. One check runs at a time;
// waitForCheck waits for its end.
func (i *Intake) check(ctx context.Context, code string) {
	end, begun := i.beginCheck()
	if !begun {
		return
	}
	defer end()
	i.catchUp(ctx, settledTail)
	if !i.isRun(code) {
		return
	}
	if aboutRequest(code) {
		i.stop(pauseRequest, code)
		return
	}
	if i.proven(time.Time{}) {
		return
	}
	switch i.askKnown(ctx) {
	case proofNone:
		i.stop(pauseUnproven, code)
	case proofSilent:
		i.stop(pauseAccount, code)
	}
}

func (i *Intake) beginCheck() (end func(), begun bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.checking != nil || i.pause != nil {
		return nil, false
	}
	done := make(chan struct{})
	i.checking = done
	return func() {
		i.mu.Lock()
		i.checking = nil
		i.mu.Unlock()
		close(done)
	}, true
}

// waitForCheck waits for the end of the current check, if there is one. The
// gateway's timeout limits the wait.
func (i *Intake) waitForCheck(ctx context.Context) {
	i.mu.Lock()
	checking := i.checking
	i.mu.Unlock()
	if checking == nil {
		return
	}
	select {
	case <-checking:
	case <-ctx.Done():
	}
}

func (i *Intake) stop(kind pauseKind, code string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.acceptedLocked(code) {
		i.pauseLocked(kind, code)
	}
}

func (i *Intake) isRun(code string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	run := i.runs[code]
	return run != nil && len(run.trades) >= i.limit(code)
}

// proven reports whether our account is known to be the right one: by a recent
// proof, or by a capture after the given time.
func (i *Intake) proven(since time.Time) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return time.Since(i.provenAt) < proofLasts || !since.IsZero() && i.known.at.After(since) && i.known.at.After(i.born)
}

// MayFail implements IntakeGuard.
func (g *intakeGuard) MayFail(ctx context.Context, code string, since time.Time) bool {
	i := g.Intake
	i.mu.Lock()
	accepted := i.acceptedLocked(code)
	i.mu.Unlock()
	if accepted || i.proven(since) {
		return !i.excuses()
	}
	end, begun := i.beginCheck()
	if !begun {
		i.waitForCheck(ctx)
		return !i.excuses() && (i.proven(since) || !i.grows(code))
	}
	defer end()
	switch i.askKnown(ctx) {
	case proofGood:
		return true
	case proofNone:
		return !i.grows(code)
	}
	i.stop(pauseAccount, code)
	return false
}

// grows reports whether several trades were refused with the code, the last one so
// recently that a run may follow.
func (i *Intake) grows(code string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	run := i.runs[code]
	return run != nil && len(run.trades) > 1 && time.Since(run.youngest) < i.cfg.Settle
}

// askKnown queries a trade that was captured before.
func (i *Intake) askKnown(ctx context.Context) proof {
	i.mu.Lock()
	tradeID, search := i.known.tradeID, time.Since(i.lookedAt) >= proofLasts
	i.mu.Unlock()
	if tradeID == "" && search {
		i.catchUp(ctx, deepTail)
		i.mu.Lock()
		tradeID, i.lookedAt = i.known.tradeID, time.Now()
		i.mu.Unlock()
	}
	if tradeID == "" {
		return proofNone
	}
	a := i.cfg.Query(ctx, tradeID)
	i.log.asked(tradeID, a)
	if a.Kind != capture.AnswerDone || a.Order == nil {
		return proofSilent
	}
	i.mu.Lock()
	i.provenAt = time.Now()
	i.mu.Unlock()
	return proofGood
}

// catchUp reads the newest events of the ledger, for answers to other workers and
// answers before a restart.
func (i *Intake) catchUp(ctx context.Context, n int) {
	if i.cfg.Ledger == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, tailWait)
	defer cancel()
	entries, err := i.cfg.Ledger.Tail(ctx, n)
	if err != nil {
		i.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "ledger not read, refusals of other workers are not counted", slog.Any("error", err))
		return
	}
	found := readTail(entries)
	tradeID := ""
	if found.captured != nil {
		tradeID = i.spelling(ctx, found.captured.TradeID, entries)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if c := found.captured; c != nil && c.Time.After(i.known.at) {
		i.othersCapturedLocked(tradeID, c)
	}
	for _, r := range found.refused {
		if r.at.After(i.known.at) && !i.acceptedLocked(r.code) {
			i.joinLocked(r.code, r.key, r.at)
		}
	}
}

// othersCapturedLocked processes a capture by another worker, found in the ledger.
func (i *Intake) othersCapturedLocked(tradeID string, c *capture.Event) {
	i.known = knownTrade{tradeID: tradeID, at: c.Time}
	if c.Time.After(i.provenAt) && c.Time.After(i.born) && c.Time.Before(time.Now()) {
		i.provenAt = c.Time
	}
	for code, run := range i.runs {
		for key, at := range run.trades {
			if at.Before(c.Time) {
				delete(run.trades, key)
			}
		}
		if len(run.trades) == 0 {
			delete(i.runs, code)
		}
	}
	byCall := c.Via == capture.ViaCapture
	if p := i.pause; p != nil && c.Time.After(p.since) && (byCall || !aboutRequest(p.code)) {
		i.resumeLocked("another worker captured a trade")
	}
}

// spelling returns the gateway's spelling of a trade in the ledger.
func (i *Intake) spelling(ctx context.Context, key string, entries []ledger.Entry) string {
	for _, e := range entries {
		if e.Event.TradeID == key && e.Event.Job != nil {
			return e.Event.Job.TradeID
		}
	}
	loaded, err := i.cfg.Ledger.Load(ctx, key)
	if err != nil {
		return key
	}
	state := loaded.State()
	return cmp.Or(state.Job.TradeID, key)
}

// tailFound is the last capture in the newest events, and the refusals after it.
type tailFound struct {
	captured *capture.Event
	refused  []tailRefusal
}

type tailRefusal struct {
	code, key string
	at        time.Time
}

// readTail reads from the newest event back to the last capture.
func readTail(entries []ledger.Entry) (found tailFound) {
	inARow := true // the trades whose request was refused
	for n := len(entries) - 1; n >= 0; n-- {
		e := &entries[n].Event
		if e.Type == capture.Captured {
			found.captured = e
			return found
		}
		if e.Answer == nil {
			continue
		}
		code := refusalCode(*e.Answer)
		if code == "" || code == capture.CodeFieldMissing && !inARow {
			continue
		}
		if code != capture.CodeFieldMissing {
			inARow = false
		}
		found.refused = append(found.refused, tailRefusal{code: code, key: e.TradeID, at: e.Time})
	}
	return found
}
