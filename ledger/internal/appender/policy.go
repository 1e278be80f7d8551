package appender

import (
	"slices"
	"time"
)

// Thresholds of the choice between single appends and batches; decision 050 has
// the measurements. A server that does not sync is fastest with single appends.
// On one that syncs every message, a batch costs two syncs and some files
// whatever its size: 2.5 ms on a disk that syncs in 0.2 ms.
const (
	// minBatch is how many appends have to be under way at once for a batch to
	// pay, and for the measured cost of single appends to be meaningful.
	minBatch = 16
	// maxBatch is the size of a batch; a server accepts 1000 by default.
	maxBatch = 256
	// threshold is the cost of a single append, many under way at once, above
	// which the server is probed, and the time of storing one, beside what a PING
	// takes, above which batches are tried. A server that does not sync needs a
	// third of it.
	threshold = 100 * time.Microsecond
	// samples is how many costs of single appends are measured. The lowest
	// counts, since noise only adds.
	samples = 4
	// probes is how many probes are made at most; the median counts, so that more
	// than half of them decide. On a machine whose
	// processors are busy, more than half of the appends are confirmed together
	// with the PING that follows them.
	probes = 7
	// trials is how many batches are timed before they are judged; the lowest
	// cost counts. The first ones are small, because the queue has yet to fill.
	trials = 8
	// resample is how many appends are sent singly, every resampleEvery, to see
	// whether batches still pay.
	resample      = 32
	resampleEvery = 30 * time.Second
	// looks is how many times in a row, lookAgain apart, they have to cost less for
	// batches to end. To send singly while the disk is slow costs far more than to
	// send batches while it is fast.
	looks     = 3
	lookAgain = 3 * time.Second
	// idleTime without a batch ends batching.
	idleTime = 5 * time.Second
	// Batches that did not pay are suspended, for longer each time.
	firstSuspension = 10 * time.Second
	maxSuspension   = 5 * time.Minute
)

// Mode is when appends are sent in batches.
type Mode int

const (
	Auto   Mode = iota // when that is measured to pay
	On                 // whenever enough of them wait and the stream allows it
	Off                // never
	Always             // all of them, whatever their number: for tests
)

// Reasons of a Choice.
const (
	WhyDisk = "server waits for its disk"
	WhyCPU  = "server or client waits for its processor"
	WhyCost = "batches do not pay"
	WhySlow = "a batch was late or not confirmed"
	// The servers of a replicated stream gather what they write to their logs, and
	// a PING does not wait for the others of them.
	WhyReplicated = "the stream is replicated"
	WhyUnknown    = "the stream's configuration could not be read"
	WhyRefused    = "the stream allows no batches"
	WhyIdle       = "few appends at a time"
	WhyConfigured = "configured"
)

// Choice is how appends are sent from now on, why, and the measurements that it
// rests on; zero: not measured.
type Choice struct {
	Batches bool
	Why     string
	Single  time.Duration // cost of a single append, many under way
	Batched time.Duration // cost of an append in a batch
	// Medians of the probes, see probe.
	Storing, Ping, Append time.Duration
}

// batchPolicy chooses between single appends and batches by their measured
// cost. Batches are tried if the server waits for its disk. They have to save a
// quarter to be kept at first, and are left only if they cost more, so that the
// choice does not oscillate. It reads no clock and is guarded by its owner. The
// zero value sends singly until it has measured.
type batchPolicy struct {
	mode       Mode
	batching   bool
	probing    bool
	single     time.Duration // cost of a single append
	batched    time.Duration // cost of one event of a batch
	doubts     int           // looks in a row at which single appends cost less
	proven     bool          // batches were judged, and paid
	since      time.Time     // batching began
	last       time.Time     // of the last batch
	next       time.Time     // batches, or single appends, are not tried before
	suspension time.Duration // the last one
	choice     Choice        // the last one
	news       bool          // it was not taken yet

	probes []probe // of the round under way

	// Of the samples or trials since the last judgement:
	lowest  time.Duration
	timed   int
	refused int
}

// choose sets the choice. It is news if it is another one than before.
func (p *batchPolicy) choose(batches bool, why string) {
	c := p.choice
	p.news = p.news || c.Batches != batches || c.Why != why
	c.Batches, c.Why, c.Single, c.Batched = batches, why, p.single, p.batched
	p.choice = c
}

// takeNews returns a choice that was made since the last call.
func (p *batchPolicy) takeNews() (Choice, bool) {
	news := p.news
	p.news = false
	return p.choice, news
}

// mayBegin reports whether batches that are configured may begin now.
func (p *batchPolicy) mayBegin(now time.Time) bool { return !p.batching && !now.Before(p.next) }

func (p *batchPolicy) add(cost time.Duration) {
	if p.timed == 0 || cost < p.lowest {
		p.lowest = cost
	}
	p.timed++
}

func (p *batchPolicy) reset() { p.lowest, p.timed, p.refused = 0, 0, 0 }

// timedSingle takes the cost of single appends while no batches are sent. If it is
// high, the server is probed for the reason.
func (p *batchPolicy) timedSingle(now time.Time, cost time.Duration) {
	if p.batching || p.probing || p.mode != Auto {
		return
	}
	p.add(cost)
	if p.timed < samples {
		return
	}
	p.single = p.lowest
	p.reset()
	p.probing = p.single > threshold && !now.Before(p.next)
}

// probed takes a probe, and reports whether batches are worth a try: appends wait
// for the server's disk. If they wait for a processor, as a PING does, batches
// would only cost more of it.
func (p *batchPolicy) probed(now time.Time, result probe) bool {
	if !p.probing {
		return false
	}
	p.probes = append(p.probes, result)
	long := 0
	for _, r := range p.probes {
		if r.disk() {
			long++
		}
	}
	if long <= probes/2 && len(p.probes)-long <= probes/2 {
		return false
	}
	p.choice.Storing = median(p.probes, probe.storing)
	p.choice.Ping = median(p.probes, func(r probe) time.Duration { return r.ping })
	p.choice.Append = median(p.probes, func(r probe) time.Duration { return r.append })
	p.probes, p.probing = p.probes[:0], false
	if long > probes/2 {
		p.single = p.choice.Storing // of the same moments as the trials to come
		return true
	}
	p.since = now
	p.suspend(now, WhyCPU)
	return false
}

func median(of []probe, value func(probe) time.Duration) time.Duration {
	values := make([]time.Duration, len(of))
	for i, p := range of {
		values[i] = value(p)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// begin sends batches: to try them, or because they are configured.
func (p *batchPolicy) begin(now time.Time) {
	p.reset()
	p.batching, p.proven, p.batched, p.doubts = true, p.mode != Auto, 0, 0
	p.since, p.last, p.next = now, now, now.Add(resampleEvery)
	if p.mode != Auto {
		p.choose(true, WhyConfigured)
	}
}

// groupLimit returns how many appends may form a group now. resampling: the
// group is to be sent singly, to measure again what that costs.
func (p *batchPolicy) groupLimit(now time.Time) (n int, resampling bool) {
	if p.proven && p.mode == Auto && !now.Before(p.next) {
		return resample, true
	}
	return maxBatch, false
}

// worthBatch reports whether a group of n is to be sent as a batch.
func (p *batchPolicy) worthBatch(n int) bool { return p.mode == Always || n >= minBatch }

// timedSingles takes the time that a group of n took which was sent singly.
func (p *batchPolicy) timedSingles(now time.Time, n int, took time.Duration) {
	switch {
	case !p.batching:
		return
	case n < minBatch:
		if p.mode == Auto && now.Sub(p.last) > idleTime {
			p.stop(WhyIdle)
			p.next = now
		}
		return
	}
	p.single, p.next = took/time.Duration(n), now.Add(resampleEvery)
	p.judge(now, true)
}

// timedBatch takes the time that a batch of n took. If it was refused, its
// events have to be sent singly in addition.
func (p *batchPolicy) timedBatch(now time.Time, n int, took time.Duration, refused bool) {
	if !p.batching || n < minBatch {
		return
	}
	p.last = now
	p.add(took / time.Duration(n))
	if refused {
		p.refused++
	}
	if p.timed < trials {
		return
	}
	p.batched = p.lowest + p.single*time.Duration(p.refused)/time.Duration(p.timed)
	p.reset()
	if !p.proven && p.batched > p.single/4*3 {
		p.suspend(now, WhyCost)
		return
	}
	p.proven = true
	if p.mode == Auto {
		p.choose(true, WhyDisk)
	}
	p.judge(now, false)
}

// judge compares the costs. Against batches decide single appends that were sent just
// now, several times in a row: one look may find the disk faster than the batches did.
func (p *batchPolicy) judge(now time.Time, resampled bool) {
	switch {
	case p.batched <= p.single:
		p.doubts = 0
	case !resampled:
		p.next = now // look at once
	case p.doubts < looks-1:
		p.doubts++
		p.next = now.Add(lookAgain)
	default:
		p.suspend(now, WhyCost)
	}
}

// suspend sends singly for a while, which doubles if batches did not pay for
// long before.
func (p *batchPolicy) suspend(now time.Time, why string) {
	if p.mode != Auto && p.batching {
		return
	}
	if p.suspension == 0 || now.Sub(p.since) > resampleEvery {
		p.suspension = firstSuspension
	} else {
		p.suspension = min(2*p.suspension, maxSuspension)
	}
	p.stop(why)
	p.next = now.Add(p.suspension)
}

// stop sends singly until batches look worth a try again.
func (p *batchPolicy) stop(why string) {
	p.reset()
	p.batching = false
	p.choose(false, why)
}

// disable sends singly for maxSuspension, for a reason that lasts.
func (p *batchPolicy) disable(now time.Time, why string) {
	if p.mode == Always {
		return
	}
	p.stop(why)
	p.next = now.Add(maxSuspension)
}

// A sample covers at least so many replies and so much time: replies arrive in
// bursts.
const (
	sampleReplies = 64
	sampleTime    = 20 * time.Millisecond
)

// latencySampler measures what a message costs the server: the time during
// which any message is under way, divided by the replies. With few messages
// under way that is the time of the network and the writers instead, so such a
// sample is dropped. The inbox guards it.
type latencySampler struct {
	from     time.Time     // busy is counted up to here
	busy     time.Duration // with a message under way
	replies  int
	messages int
	depth    int // sum over all messages of those under way when it was sent
}

// sent counts a message; underWay includes it.
func (s *latencySampler) sent(now time.Time, underWay int) {
	if underWay == 1 || s.from.IsZero() {
		s.from = now
	}
	s.messages++
	s.depth += underWay
}

// replied counts a reply, with underWay messages left. When a sample is
// complete it returns the cost of one message; ok is false otherwise, or if too
// few messages were under way.
func (s *latencySampler) replied(underWay int) (cost time.Duration, ok bool) {
	s.replies++
	if underWay > 0 && s.replies%sampleReplies != 0 {
		return 0, false
	}
	now := time.Now()
	s.busy, s.from = s.busy+now.Sub(s.from), now
	if s.replies < sampleReplies || s.busy < sampleTime {
		return 0, false
	}
	cost, ok = s.busy/time.Duration(s.replies), s.depth >= minBatch*s.messages
	*s = latencySampler{from: now}
	return cost, ok
}
