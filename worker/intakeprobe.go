package worker

import (
	"context"
	"time"
)

// Run reads the ledger once, and then checks regularly whether a paused intake may
// resume, until ctx ends.
func (i *Intake) Run(ctx context.Context) {
	i.start(ctx)
	tick := time.NewTicker(i.cfg.ProbeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		i.readAccepted(ctx)
		i.tryResume(ctx)
	}
}

// start finds a run of refusals that began before a restart. Jobs are taken after
// that.
func (i *Intake) start(ctx context.Context) {
	defer close(i.started)
	i.readAccepted(ctx)
	i.catchUp(ctx, settledTail)
	i.mu.Lock()
	var codes []string
	for code, run := range i.runs {
		if len(run.trades) >= i.limit(code) {
			codes = append(codes, code)
		}
	}
	i.mu.Unlock()
	for _, code := range codes {
		i.check(ctx, code)
	}
}

// readAccepted reads the codes that operators accept. If that fails, those read
// before stay in effect.
func (i *Intake) readAccepted(ctx context.Context) {
	if i.cfg.Accepted == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, tailWait)
	defer cancel()
	if accepted, err := i.cfg.Accepted(ctx); err == nil {
		i.accept(accepted)
	}
}

// tryResume resumes a paused intake if a proof or an operator permits it.
func (i *Intake) tryResume(ctx context.Context) {
	i.mu.Lock()
	p := i.pause
	if p == nil {
		i.mu.Unlock()
		return
	}
	i.log.still(p)
	kind, known := p.kind, i.known
	i.mu.Unlock()
	if kind != pauseAccount {
		i.catchUp(ctx, settledTail)
		if kind == pauseRequest || i.knownNow() == known {
			return // only the jobs that are tried can show it
		}
	}
	if i.askKnown(ctx) != proofGood {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.pause == p {
		i.resumeLocked("the gateway knows a trade that was captured before")
	}
}

func (i *Intake) knownNow() knownTrade {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.known
}

// permit is the permission to try one job while the intake is paused.
type permit struct {
	intake *Intake
	pause  *intakePause
	guard  *intakeGuard
}

// await waits until jobs may be taken. If it returns a permit, the intake is
// paused and exactly one job may be taken, to probe the gateway.
func (i *Intake) await(ctx context.Context) (*permit, error) {
	select {
	case <-i.started:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	for {
		p, open, wait, changed := i.grant()
		if p != nil || open {
			return p, nil
		}
		if err := waitFor(ctx, changed, wait); err != nil {
			return nil, err
		}
	}
}

// grant returns a permit if one is due now, or reports that jobs may be taken, or
// returns when to call it again: after wait, if it is above zero, or on a change.
func (i *Intake) grant() (p *permit, open bool, wait time.Duration, changed <-chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	pause := i.pause
	switch {
	case pause == nil:
		return nil, true, 0, nil
	case pause.kind == pauseAccount || pause.probing:
		return nil, false, 0, i.changed
	}
	if wait = time.Until(pause.next); wait > 0 {
		return nil, false, wait, i.changed
	}
	pause.probing = true
	return &permit{intake: i, pause: pause, guard: &intakeGuard{Intake: i, probe: true}}, false, 0, nil
}

// waitFor waits for a change, at most d if d is above zero.
func waitFor(ctx context.Context, changed <-chan struct{}, d time.Duration) error {
	var due <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-changed:
	case <-due:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// end returns the permit; another lane may get the next one.
func (p *permit) end() {
	i := p.intake
	i.mu.Lock()
	defer i.mu.Unlock()
	p.pause.probing = false
	i.changeLocked()
}
