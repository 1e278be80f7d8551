package ledger

import "time"

// pace tells what a message costs the server, the time while any is under way
// shared among those that were answered. Answers come in heaps, so only a
// longer stretch says anything, and one with few messages under way tells about
// the line and the writers, not about the server. The inbox guards it.
type pace struct {
	from     time.Time     // busy counts up to here, while something is under way
	busy     time.Duration // with something under way
	answers  int
	messages int
	depth    int // of all messages, how many were under way with them
}

const (
	paceAnswers = 64
	paceTime    = 20 * time.Millisecond
)

// sent counts a message, the last of so many that are under way.
func (p *pace) sent(now time.Time, underWay int) {
	if underWay == 1 || p.from.IsZero() {
		p.from = now
	}
	p.messages++
	p.depth += underWay
}

// answered counts an answer, with so many messages still under way. At the end
// of a stretch it returns the cost of one; known is false where too few were
// under way.
func (p *pace) answered(underWay int) (cost time.Duration, known bool) {
	p.answers++
	if underWay > 0 && p.answers%paceAnswers != 0 {
		return 0, false
	}
	now := time.Now()
	p.busy, p.from = p.busy+now.Sub(p.from), now
	if p.answers < paceAnswers || p.busy < paceTime {
		return 0, false
	}
	cost, known = p.busy/time.Duration(p.answers), p.depth >= fewest*p.messages
	*p = pace{from: now}
	return cost, known
}
