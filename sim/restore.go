package sim

import (
	"context"
	"time"

	"github.com/capture-worker/capture-worker/ledger"
)

// restore replaces the ledger by an older backup, while the queue continues. The
// workers are stopped meanwhile, and notice the loss when they start again (rule
// 2).
func (s *Sim) restore(a Accident) {
	s.restoring = s.now + a.For
	for _, w := range append(s.procs, s.desk) {
		w.crash(a.For)
	}
	s.after(a.For-time.Second, func() {
		s.book.restore(int(a.Share * float64(len(s.book.log))))
		if a.Recreate {
			s.queue.renew()
		}
	})
}

// restore keeps the first n events of the ledger.
func (b *book) restore(n int) {
	b.s.note("the ledger is restored: %d of %d events", n, len(b.log))
	kept := b.log[:n]
	if n < len(b.log) {
		b.s.askFirst = true
	}
	for _, e := range b.log[n:] {
		b.s.lost[e.trade] = true
	}
	b.store, b.log = &ledger.Memory{}, nil
	for i := range b.events {
		b.events[i], b.seqs[i] = nil, nil
	}
	for _, e := range kept {
		seq, err := b.store.Append(context.Background(), e.event, e.after)
		if err != nil {
			panic(err) // impossible: the event was appended before
		}
		b.log = append(b.log, e)
		b.events[e.trade], b.seqs[e.trade] = append(b.events[e.trade], e.event), append(b.seqs[e.trade], seq)
	}
}

// renew creates the consumer again: every message of the stream is delivered again,
// as a first delivery.
func (q *queue) renew() {
	q.s.note("the consumer is created again")
	for _, m := range q.messages {
		if m.settled {
			q.open++
		}
		m.settled, m.pending, m.ready, m.deliveries = false, false, true, 0
		m.due = -1
	}
	q.poke()
}
