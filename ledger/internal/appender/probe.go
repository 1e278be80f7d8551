package appender

import "time"

// probe compares an append with a PING that was sent right after it on the same
// connection. Both wait for the network, for the processors of client and server,
// and for what the server reads before them; only the append waits for the
// appends before it to be stored.
type probe struct {
	ping   time.Duration // until the server's PONG
	append time.Duration // until the append was confirmed
	// ahead is how many appends were not confirmed at the PONG, this one included;
	// 0: the append was confirmed before.
	ahead int
}

// storing returns how long the server took to store one of the appends that it had
// before it when it replied to the PING. Noise in a processor's time is in both and
// mostly cancels; a sync of the disk is in the append only.
func (p probe) storing() time.Duration {
	if p.ahead == 0 || p.append < p.ping {
		return 0
	}
	return (p.append - p.ping) / time.Duration(p.ahead)
}

// diskRatio is how many times the PING's the append's time has to be for the disk to
// be the reason: on a machine with 15 programs for each processor it was up to 2.6
// without a sync, and 10 and more with one.
const diskRatio = 3

// disk reports whether the append waited for the disk.
func (p probe) disk() bool { return p.storing() > threshold && p.append > diskRatio*p.ping }

// trip is a probe under way.
type trip struct {
	number uint64 // of the append
	sent   time.Time
	pong   time.Time // zero: not yet
	ahead  int
	answer time.Time // of the append; zero: not yet
}

// probeRest is the least time between two probes, so that they see different
// moments.
const probeRest = 5 * time.Millisecond

// startProbe sends a PING behind the append of this number, unless a probe is under
// way, or so few appends are that batches would not pay.
func (in *inbox) startProbe(number uint64) {
	now := time.Now()
	in.mu.Lock()
	defer in.mu.Unlock()
	_, waits := in.waiting[number]
	if !waits || in.closed || in.under != nil || len(in.waiting) < minBatch || now.Before(in.rested) {
		return
	}
	t := &trip{number: number, sent: now}
	in.under, in.rested = t, now.Add(probeRest)
	in.trips.Go(func() { in.ping(t) })
}

// ping waits for the PONG.
func (in *inbox) ping(t *trip) {
	err := in.nc.FlushTimeout(in.timeout)
	now := time.Now()
	in.mu.Lock()
	mine := in.under == t
	if err != nil && mine {
		in.under = nil
	}
	if err != nil || !mine {
		in.mu.Unlock()
		return
	}
	t.pong = now
	if !t.answer.IsZero() {
		in.under = nil
		in.mu.Unlock()
		in.probed(probe{ping: now.Sub(t.sent), append: t.answer.Sub(t.sent)})
		return
	}
	for other := range in.waiting {
		if other <= t.number {
			t.ahead++
		}
	}
	in.mu.Unlock()
}

// endProbe returns the result if the probe under way is complete with this reply.
// mu is held.
func (in *inbox) endProbe(number uint64) (probe, bool) {
	t := in.under
	if t == nil || t.number != number {
		return probe{}, false
	}
	now := time.Now()
	if t.pong.IsZero() {
		t.answer = now
		return probe{}, false
	}
	in.under = nil
	return probe{ping: t.pong.Sub(t.sent), append: now.Sub(t.sent), ahead: t.ahead}, true
}
