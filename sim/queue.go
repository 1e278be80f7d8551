package sim

import "time"

// queue is a model of a durable pull consumer of JetStream: explicit acks, a
// deadline per delivery, delayed naks, redeliveries before new messages, and
// MaxAckPending. The ack of an earlier delivery counts for the message.
type queue struct {
	s        *Sim
	messages []*message
	poked    bool
	open     int // messages not settled
}

// message is one job in the stream.
type message struct {
	name       string
	trade      int
	plan       JobPlan
	body       []byte
	deliveries int
	pending    bool // delivered and not settled: it counts in MaxAckPending
	ready      bool // may be delivered
	settled    bool
	due        time.Duration // when it is delivered again without a signal
	letters    []string
}

func (q *queue) publish(trade int, j JobPlan) {
	n := 0
	for _, m := range q.messages {
		if m.trade == trade {
			n++
		}
	}
	m := &message{name: q.s.name(trade) + "." + string(rune('a'+n%26)), trade: trade, plan: j, body: j.Body, ready: true}
	q.messages = append(q.messages, m)
	q.open++
	q.s.note("publish %s %s", m.name, m.body)
	q.s.Counts.Jobs++
	q.s.published = q.s.now
	q.poke()
}

// poke schedules a delivery of the ready messages.
func (q *queue) poke() {
	if !q.poked {
		q.poked = true
		q.s.after(time.Millisecond, q.deliver)
	}
}

func (q *queue) deliver() {
	q.poked = false
	pending := 0
	for _, m := range q.messages {
		if m.pending && !m.settled {
			pending++
		}
	}
	for _, again := range []bool{true, false} {
		for _, m := range q.messages {
			if !m.ready || m.settled || m.pending != again || (!again && pending >= q.s.plan.MaxPending) {
				continue
			}
			p, d := q.taker(m)
			if p == nil {
				return
			}
			if !again {
				pending++
			}
			q.hand(m, p, d)
		}
	}
}

// taker chooses one of the processes that would take a job.
func (q *queue) taker(m *message) (*proc, dice) {
	var hungry []*proc
	for _, p := range q.s.procs {
		if p.hungry() {
			hungry = append(hungry, p)
		}
	}
	if len(hungry) == 0 {
		return nil, 0
	}
	d := q.s.dice(onDelivery, m.trade)
	return hungry[d.pick(saltWho, len(hungry))], d
}

// hand delivers a message. AckWait starts now.
func (q *queue) hand(m *message, p *proc, d dice) {
	m.pending, m.ready = true, false
	m.deliveries++
	q.wait(m, ackWait)
	if q.s.meets(onDelivery, d) == DeliveryLost {
		q.s.note("%s delivery %d to %s is lost", m.name, m.deliveries, p.name())
		return
	}
	q.s.note("%s delivery %d to %s", m.name, m.deliveries, p.name())
	p.take(m, m.deliveries == 1)
}

// wait makes a message ready after a while unless a signal arrives.
func (q *queue) wait(m *message, d time.Duration) {
	due := q.s.now + d
	m.due = due
	q.s.at(due, func() {
		if !m.settled && m.due == due && !m.ready {
			m.ready = true
			q.poke()
		}
	})
}

func (q *queue) inProgress(m *message) {
	if m.pending && !m.settled && !m.ready {
		q.wait(m, ackWait)
	}
}

func (q *queue) nak(m *message, rest time.Duration) {
	if m.pending && !m.settled && !m.ready {
		q.wait(m, rest)
	}
}

// settle ends a message: acked or terminated.
func (q *queue) settle(m *message) {
	if !m.settled {
		m.settled = true
		q.open--
		q.s.settledAt = q.s.now
		q.s.note("%s is settled", m.name)
		q.poke()
	}
}
