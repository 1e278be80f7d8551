package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/jobstream"
	"github.com/capture-worker/capture-worker/internal/natsconn"
	"github.com/capture-worker/capture-worker/ledger"
)

const (
	// doneTimeout and maxDone bound the look at jobs that are done: of these a
	// stream may hold millions.
	doneTimeout = 10 * time.Second
	maxDone     = 100_000
	// maxDoneTold is how many different ones are told.
	maxDoneTold = 5
)

// doneJobs tells of the jobs that are done, the newest first, where nothing else
// is known: a second order that was paid by a captured trade is in no event.
func (e elsewhere) doneJobs(ctx context.Context) (lines []string, found bool) {
	ctx, cancel := context.WithTimeout(ctx, doneTimeout)
	defer cancel()
	var consumers []string
	for _, lane := range e.c.LaneList() {
		consumers = append(consumers, lane.Consumer)
	}
	read, told := 0, map[[2]string]bool{}
	var oldest time.Time // of what was looked at
	for p, err := range jobstream.Done(ctx, e.js, e.c.Jobs.Stream, consumers) {
		if err != nil {
			return append(lines, e.notAllDone(err, read, oldest)...), len(told) > 0
		}
		if read == e.most || len(told) == maxDoneTold {
			return append(lines, lookedAt(read, oldest)), len(told) > 0
		}
		read, oldest = read+1, p.Stored
		job, err := e.dec.Decode(p.Header, p.Body)
		if _, dead := e.dead[p.Sequence]; err != nil || dead {
			continue
		}
		if who := [2]string{job.TradeID, job.OrderID}; e.means(who[0], who[1]) && !told[who] {
			told[who] = true
			lines = append(lines, e.doneJob(ctx, p, job.TradeID, job.OrderID))
		}
	}
	return lines, len(told) > 0
}

// means is isAbout, also where the order was given for the trade.
func (e elsewhere) means(trade, order string) bool {
	return e.isAbout(trade, order) || e.trade != "" && order == e.trade
}

// doneJob tells of one.
func (e elsewhere) doneJob(ctx context.Context, p jobstream.Message, trade, order string) string {
	whose := "the job"
	if order != "" {
		whose += " of order " + order
	}
	return fmt.Sprintf("%s (sequence %d of %s, published %s) is done; %s", whose, p.Sequence, e.c.Jobs.Stream, moment(p.Stored), e.names(ctx, trade))
}

// names says which trade a job names, how that stands, and how to see more.
func (e elsewhere) names(ctx context.Context, trade string) string {
	text := "it names trade " + trade
	known, err := e.book.LoadLatest(ctx, capture.TradeKey(trade))
	switch {
	case err != nil:
		text += fmt.Sprintf(", of which the ledger could not be asked (%v)", natsconn.Explain(e.js.Conn(), err))
	case len(known.Events) == 0:
		return text + ", of which this ledger (ledger.stream) tells nothing"
	default:
		text += ", which is " + standing(known)
	}
	return text + ": see `capture-worker show " + trade + "`"
}

// standing is how a trade stands, and for which orders.
func standing(t ledger.Trade) string {
	s, orders := t.State(), ordersOf(t.Events)
	words := "open"
	if s.Outcome != nil {
		words = string(s.Outcome.Type)
	}
	switch len(orders) {
	case 0:
		return words + ", for no order that was named"
	case 1:
		return words + " for order " + orders[0]
	}
	return words + " for orders " + strings.Join(orders, ", ")
}

// notAllDone says what was not looked at. Where no worker ran yet nothing is done.
func (e elsewhere) notAllDone(err error, read int, oldest time.Time) []string {
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrConsumerNotFound):
		return nil
	case read > 0 && errors.Is(err, context.DeadlineExceeded):
		return []string{lookedAt(read, oldest)}
	}
	return []string{fmt.Sprintf("whether a job for it is done could not be seen: %v", natsconn.Explain(e.js.Conn(), err))}
}

func lookedAt(read int, oldest time.Time) string {
	return fmt.Sprintf("of the jobs that are done only the newest %d were looked at, those published since %s", read, moment(oldest))
}
