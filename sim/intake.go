package sim

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/worker"
)

// intake is a model of worker.Intake, which uses goroutines and cannot run here: a
// few trades in a row that are refused with one code pause the worker, which then
// tries one job at a time. Its run is shorter, because a history has at most four
// trades, and it does not query a trade that was captured before.
type intake struct {
	p      *proc
	code   string
	run    []string // trades refused with the code since the last capture
	paused bool
	next   time.Duration // when the next job is tried
	waived bool          // an operator has accepted the code
}

const (
	refusalRun   = 3
	tryEvery     = 20 * time.Second
	operatorNote = 90 * time.Minute // the time after which an operator resumes the intake
)

var _ worker.IntakeGuard = (*intake)(nil)

// Admit implements worker.IntakeGuard.
func (i *intake) Admit(tradeID string) error {
	if !i.paused {
		return nil
	}
	if i.p.s.now < i.next {
		return fmt.Errorf("%w: refused with %s", worker.ErrPaused, i.code)
	}
	i.next = i.p.s.now + tryEvery
	return nil
}

// Observe implements worker.IntakeGuard.
func (i *intake) Observe(_ context.Context, tradeID string, via capture.Via, a capture.Answer) bool {
	i.note(tradeID, via, a)
	i.p.s.current.excused = i.paused
	return i.paused
}

func (i *intake) note(tradeID string, via capture.Via, a capture.Answer) {
	refused := a.NoSuchTrade() || via == capture.ViaCapture && a.Kind == capture.AnswerRefused && a.Refusal() != "" && a.Order == nil
	switch {
	case a.Kind == capture.AnswerDone && (via == capture.ViaCapture || i.code == capture.CodeTradeID):
		// The account has the trade, or the request was correct.
		i.run, i.code = nil, ""
		i.resume("a useful answer")
	case !refused || i.waived:
	case a.Code != i.code:
		i.run, i.code = []string{capture.TradeKey(tradeID)}, a.Code
	case !slices.Contains(i.run, capture.TradeKey(tradeID)):
		i.run = append(i.run, capture.TradeKey(tradeID))
	}
	if len(i.run) >= refusalRun && !i.paused {
		i.paused, i.next = true, i.p.s.now+tryEvery
		i.p.s.note("%s pauses its intake: refused with %s", i.p.name(), i.code)
		i.p.s.after(operatorNote, func() {
			i.waived = true
			i.resume("an operator")
		})
	}
}

func (i *intake) resume(why string) {
	if i.paused {
		i.paused, i.run = false, nil
		i.p.s.note("%s resumes its intake: %s", i.p.name(), why)
		i.p.s.queue.poke()
	}
}

// MayFail implements worker.IntakeGuard.
func (i *intake) MayFail(context.Context, string, time.Time) bool { return !i.paused }
