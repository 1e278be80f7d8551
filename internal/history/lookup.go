package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/controls"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/jobstream"
	"github.com/capture-worker/capture-worker/internal/natsconn"
	"github.com/capture-worker/capture-worker/internal/printable"
	"github.com/capture-worker/capture-worker/ledger"
)

const (
	// lookupTimeout limits the search in dead letters and waiting jobs, and
	// maxWaitingRead how many waiting jobs of a lane are read.
	lookupTimeout  = 20 * time.Second
	maxWaitingRead = 100_000
	// doneTimeout limits the search in jobs that are done, besides their number: a
	// stream may hold millions.
	doneTimeout = 10 * time.Second
	// DefaultDoneJobs is how many of the newest done jobs Explain reads, at one short
	// request for each.
	DefaultDoneJobs = 500
	// maxDoneShown is how many different ones are returned.
	maxDoneShown = 5
)

// jobLookup searches for jobs without events in the ledger: in the dead letters,
// the waiting jobs and the finished ones.
type jobLookup struct {
	js           jetstream.JetStream
	ledger       ledger.Ledger
	c            config.Config
	dec          *capture.Decoder
	trade, order string // one of the two
	maxDone      int    // how many done jobs are read

	sample  []controls.PassedOver
	unknown string               // why it is not known how workers decode jobs
	dead    map[uint64]time.Time // sequences of jobs that are dead letters, and since when
}

// Explain returns where the job of an unknown trade, or else of an unknown order,
// is. Each line is a finding.
func (r *Reader) Explain(ctx context.Context, trade, order string) []string {
	l := jobLookup{js: r.js, ledger: r.ledger, c: r.c, dec: r.dec, trade: trade, order: order, maxDone: cmp.Or(r.DoneJobs, DefaultDoneJobs), sample: r.passed(), unknown: r.unknown, dead: map[uint64]time.Time{}}
	within, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	var lines []string
	anything := false
	add := func(more []string, found bool) { lines, anything = append(lines, more...), anything || found }
	add(l.passedOver())
	add(l.deadLetters(within))
	add(l.waitingJobs(within))
	add(l.withdrawals(within))
	add(l.doneJobs(ctx))
	if !anything {
		lines = append(lines, l.otherKind()...)
	}
	for i, line := range lines { // with subjects, orders and notes of others
		lines[i] = printable.Line(line)
	}
	return lines
}

// otherKind returns the command for the case that a trade was taken for an order
// or the reverse.
func (l jobLookup) otherKind() []string {
	switch {
	case l.trade != "":
		return []string{fmt.Sprintf("if %[1]s is the order of a shop: `capture-worker show --order %[1]s`", l.trade)}
	case capture.ValidTradeID(l.order):
		return []string{fmt.Sprintf("if %[1]s is a trade: `capture-worker show %[1]s`", l.order)}
	}
	return nil
}

func (l jobLookup) isAbout(trade, order string) bool {
	return l.trade != "" && capture.SameTrade(trade, l.trade) || l.order != "" && order == l.order
}

// deadLetters returns the dead letters about it; found reports whether there is any.
func (l jobLookup) deadLetters(ctx context.Context) (lines []string, found bool) {
	box := deadletter.Store{JS: l.js, Stream: l.c.Jobs.DLQStream}
	read := 0
	err := WalkDeadLetters(ctx, box, l.dec, 0, func(d DeadLetter) error {
		read++
		if l.isAbout(d.Trade, d.Order) {
			lines, found = append(lines, fmt.Sprintf("%s%s: %s", d.name(), d.handling(), d.hint())), true
			if d.stream == l.c.Jobs.Stream {
				l.dead[d.sequence] = d.Time
			}
		}
		return nil
	})
	switch {
	case err != nil && !errors.Is(err, jetstream.ErrStreamNotFound):
		lines = append(lines, deadLettersUnread(l.js, err))
	case len(lines) == 0 && read > 0 && l.unknown != "":
		lines = []string{l.unknown}
	case len(lines) == 0:
		lines = []string{"no dead letter is about it"}
	}
	return lines, found
}

// waitingJobs returns the waiting jobs about it; found reports whether there is any.
func (l jobLookup) waitingJobs(ctx context.Context) (lines []string, found bool) {
	for _, lane := range l.c.LaneList() {
		waiting, read, err := l.inLane(ctx, lane)
		if len(waiting) > 0 {
			lines, found = append(append(lines, waiting...), l.paused(ctx, lane)...), true
		}
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrConsumerNotFound):
		case err != nil:
			lines = append(lines, fmt.Sprintf("could not check the waiting jobs of stream %s: %v", l.c.Jobs.Stream, natsconn.Explain(l.js.Conn(), err)))
		case read >= maxWaitingRead:
			lines = append(lines, fmt.Sprintf("only the first %d waiting jobs of consumer %s were checked", read, lane.Consumer))
		}
	}
	if len(lines) == 0 {
		lines = []string{"no job for it waits in " + l.c.Jobs.Stream}
	}
	return lines, found
}

// paused returns a line if the lane is paused: its jobs are not delivered.
func (l jobLookup) paused(ctx context.Context, lane config.Lane) []string {
	consumer, err := l.js.Consumer(ctx, l.c.Jobs.Stream, lane.Consumer)
	if err != nil {
		return nil
	}
	info := consumer.CachedInfo()
	if !info.Paused || info.Config.PauseUntil == nil {
		return nil
	}
	return []string{fmt.Sprintf("lane %[1]s is paused until %[2]s and delivers no jobs: see `capture-worker lane resume %[1]s`", lane.Label(), moment(*info.Config.PauseUntil))}
}

// inLane returns the waiting jobs of a lane about it, and how many were read.
func (l jobLookup) inLane(ctx context.Context, lane config.Lane) (lines []string, read int, err error) {
	passed := 0 // waiting messages that are no jobs
	for w, err := range jobstream.Backlog(ctx, l.js, l.c.Jobs.Stream, lane.Consumer) {
		if err != nil {
			return lines, read, err
		}
		if read++; read >= maxWaitingRead {
			break
		}
		if _, err := l.dec.Decode(w.Header, w.Body); errors.Is(err, capture.ErrNotOurs) {
			if line := l.notTaken(w.Message, err, !w.Delivered); line != "" {
				lines = append(lines, line)
			}
			if !w.Delivered {
				passed++
			}
			continue
		}
		trade, order := l.dec.Hint(w.Header, w.Body)
		if !l.isAbout(trade, order) || l.isDead(w) {
			continue
		}
		where := fmt.Sprintf("published %s UTC on %s, sequence %d of %s", w.Stored.UTC().Format(time.DateTime), w.Subject, w.Sequence, l.c.Jobs.Stream)
		state := fmt.Sprintf("waits for a worker: %d jobs before it", w.Ahead-passed)
		if w.Delivered {
			state = "was delivered: a worker processes it, it waits for its next try, or it is acked and an older job is not"
		}
		if l.order != "" && capture.ValidTradeID(trade) {
			state += "; " + l.names(ctx, trade)
		}
		lines = append(lines, "its job was "+where+", and "+state)
	}
	return lines, read, nil
}

// isDead reports whether the job is a dead letter; its ack may not have reached the
// consumer yet. A dead letter that is older than the job is from an earlier stream
// of the same name.
func (l jobLookup) isDead(w jobstream.Pending) bool {
	since, ok := l.dead[w.Sequence]
	return ok && w.Delivered && !since.Before(w.Stored)
}

// doneJobs returns the done jobs about it, the newest first: a second order that
// was paid by a captured trade is in no event.
func (l jobLookup) doneJobs(ctx context.Context) (lines []string, found bool) {
	ctx, cancel := context.WithTimeout(ctx, doneTimeout)
	defer cancel()
	var consumers []string
	for _, lane := range l.c.LaneList() {
		consumers = append(consumers, lane.Consumer)
	}
	read, passed, shown := 0, 0, map[[2]string]bool{}
	var oldest time.Time // of those that were read
	for p, err := range jobstream.Done(ctx, l.js, l.c.Jobs.Stream, consumers) {
		if err != nil {
			return append(lines, l.notAllDone(err, read, oldest)...), len(lines) > 0
		}
		if read == l.maxDone || len(shown)+passed == maxDoneShown {
			return append(lines, checkedOnly(read, oldest)), len(lines) > 0
		}
		read, oldest = read+1, p.Stored
		job, err := l.dec.Decode(p.Header, p.Body)
		if line := l.notTaken(p, err, false); line != "" {
			passed++
			lines = append(lines, line)
		}
		if _, dead := l.dead[p.Sequence]; err != nil || dead {
			continue
		}
		if who := [2]string{job.TradeID, job.OrderID}; l.means(who[0], who[1]) && !shown[who] {
			shown[who] = true
			lines = append(lines, l.doneJob(ctx, p, job.TradeID, job.OrderID))
		}
	}
	return lines, len(lines) > 0
}

// means reports what isAbout does, and also true if the order was given as the
// trade.
func (l jobLookup) means(trade, order string) bool {
	return l.isAbout(trade, order) || l.trade != "" && order == l.trade
}

// doneJob returns the line of a done job.
func (l jobLookup) doneJob(ctx context.Context, p jobstream.Message, trade, order string) string {
	whose := "the job"
	if order != "" {
		whose += " of order " + order
	}
	return fmt.Sprintf("%s (sequence %d of %s, published %s) is done; %s", whose, p.Sequence, l.c.Jobs.Stream, moment(p.Stored), l.names(ctx, trade))
}

// names returns the trade that a job names, its state, and the command to show it.
func (l jobLookup) names(ctx context.Context, trade string) string {
	text := "it names trade " + trade
	known, err := l.ledger.LoadLatest(ctx, capture.TradeKey(trade))
	switch {
	case err != nil:
		text += fmt.Sprintf(", whose events could not be read (%v)", natsconn.Explain(l.js.Conn(), err))
	case len(known.Events) == 0:
		return text + ", of which this ledger (ledger.stream) has no events"
	default:
		text += ", which is " + standing(known)
	}
	return text + ": see `capture-worker show " + trade + "`"
}

// standing returns the state of a trade, and its orders.
func standing(t ledger.Trade) string {
	s, orders := t.State(), capture.Orders(t.Events)
	words := "open"
	if s.Outcome != nil {
		words = string(s.Outcome.Type)
	}
	switch len(orders) {
	case 0:
		return words + ", without an order"
	case 1:
		return words + " for order " + orders[0]
	}
	return words + " for orders " + strings.Join(orders, ", ")
}

// notAllDone returns what was not checked. If no worker has run, nothing is done.
func (l jobLookup) notAllDone(err error, read int, oldest time.Time) []string {
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrConsumerNotFound):
		return nil
	case read > 0 && errors.Is(err, context.DeadlineExceeded):
		return []string{checkedOnly(read, oldest)}
	}
	return []string{fmt.Sprintf("could not check the done jobs: %v", natsconn.Explain(l.js.Conn(), err))}
}

func checkedOnly(read int, oldest time.Time) string {
	return fmt.Sprintf("only the newest %d done jobs were checked, published since %s; --done-jobs checks more", read, moment(oldest))
}
