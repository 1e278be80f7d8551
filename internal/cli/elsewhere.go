package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/jobstream"
	"github.com/capture-worker/capture-worker/internal/natsconn"
	"github.com/capture-worker/capture-worker/ledger"
)

const (
	// elsewhereTimeout bounds the search for a job of which the ledger knows
	// nothing, and maxBacklog how many waiting jobs of a lane it reads.
	elsewhereTimeout = 20 * time.Second
	maxBacklog       = 100_000
)

// elsewhere looks for jobs of which the ledger knows nothing yet: among the dead
// letters, among those that wait, and among those that are done.
type elsewhere struct {
	js           jetstream.JetStream
	book         ledger.Ledger
	c            config.Config
	trade, order string // one of the two
	most         int    // how many jobs that are done are looked at

	dec  *capture.Decoder
	dead map[uint64]time.Time // sequences of jobs that are dead letters, and since when
}

// explain says where the job is, in lines that follow what the ledger does not
// know.
func (e elsewhere) explain(ctx context.Context) string {
	var err error
	if e.dec, err = capture.NewDecoder(mappingOf(e.c)); err != nil {
		return ""
	}
	e.dead = map[uint64]time.Time{}
	within, cancel := context.WithTimeout(ctx, elsewhereTimeout)
	defer cancel()
	lines, anything := []string{""}, false
	add := func(more []string, found bool) { lines, anything = append(lines, more...), anything || found }
	add(e.letters(within))
	add(e.backlog(within))
	add(e.doneJobs(ctx))
	if !anything {
		lines = append(lines, e.mistaken()...)
	}
	return strings.Join(lines, "\n")
}

// mistaken says how to ask where one was taken for the other.
func (e elsewhere) mistaken() []string {
	switch {
	case e.trade != "":
		return []string{fmt.Sprintf("if %[1]s is the order of a shop: `capture-worker show --order %[1]s`", e.trade)}
	case capture.ValidTradeID(e.order):
		return []string{fmt.Sprintf("if %[1]s is a trade: `capture-worker show %[1]s`", e.order)}
	}
	return nil
}

func (e elsewhere) isAbout(trade, order string) bool {
	return e.trade != "" && capture.SameTrade(trade, e.trade) || e.order != "" && order == e.order
}

// letters tells of the dead letters; found is whether there is any.
func (e elsewhere) letters(ctx context.Context) (lines []string, found bool) {
	err := newDesk(e.c, e.js, e.dec).list(ctx, func(l letterLine) error {
		if e.isAbout(l.Trade, l.Order) {
			lines, found = append(lines, fmt.Sprintf("%s%s: %s", l.name(), l.dealtWith(), l.look())), true
			if l.stream == e.c.Jobs.Stream {
				e.dead[l.sequence] = l.Time
			}
		}
		return nil
	})
	switch {
	case err != nil && !noDLQ(err):
		lines = append(lines, fmt.Sprintf("whether a dead letter is about it could not be seen: %v", natsconn.Explain(e.js.Conn(), err)))
	case len(lines) == 0:
		lines = []string{"no dead letter is about it"}
	}
	return lines, found
}

// backlog tells of the jobs that wait; found is whether there is any.
func (e elsewhere) backlog(ctx context.Context) (lines []string, found bool) {
	for _, lane := range e.c.LaneList() {
		waiting, read, err := e.inLane(ctx, lane)
		if len(waiting) > 0 {
			lines, found = append(append(lines, waiting...), e.paused(ctx, lane)...), true
		}
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrConsumerNotFound):
		case err != nil:
			lines = append(lines, fmt.Sprintf("whether a job for it waits in %s could not be seen: %v", e.c.Jobs.Stream, natsconn.Explain(e.js.Conn(), err)))
		case read >= maxBacklog:
			lines = append(lines, fmt.Sprintf("of the jobs that wait for %s only the first %d were looked at", lane.Consumer, read))
		}
	}
	if len(lines) == 0 {
		lines = []string{"no job for it waits in " + e.c.Jobs.Stream}
	}
	return lines, found
}

// paused says of a lane that it is: what waits there comes to no worker. One that
// cannot be looked at a second time is passed over.
func (e elsewhere) paused(ctx context.Context, lane config.Lane) []string {
	row, err := lookAtLane(ctx, e.js, e.c, lane)
	if err != nil || !row.Paused {
		return nil
	}
	return []string{fmt.Sprintf("lane %[1]s is paused until %[2]s and delivers nothing: see `capture-worker lane resume %[1]s`", row.Lane, moment(row.PausedUntil))}
}

func (e elsewhere) inLane(ctx context.Context, lane config.Lane) (lines []string, read int, err error) {
	passed := 0 // of those that wait, how many are no jobs
	for w, err := range jobstream.Backlog(ctx, e.js, e.c.Jobs.Stream, lane.Consumer) {
		if err != nil {
			return lines, read, err
		}
		if read++; read >= maxBacklog {
			break
		}
		if _, err := e.dec.Decode(w.Header, w.Body); errors.Is(err, capture.ErrNotOurs) {
			if !w.Delivered {
				passed++
			}
			continue
		}
		trade, order := e.dec.Hint(w.Header, w.Body)
		if !e.isAbout(trade, order) || e.isDead(w) {
			continue
		}
		where := fmt.Sprintf("published %s UTC on %s, sequence %d of %s", w.Stored.UTC().Format(time.DateTime), w.Subject, w.Sequence, e.c.Jobs.Stream)
		state := fmt.Sprintf("waits for a worker: %d come before it", w.Ahead-passed)
		if w.Delivered {
			state = "was delivered: a worker has it, it waits for its next try, or it is done and an older one is not"
		}
		if e.order != "" && capture.ValidTradeID(trade) {
			state += "; " + e.names(ctx, trade)
		}
		lines = append(lines, "its job was "+where+", and "+state)
	}
	return lines, read, nil
}

// isDead: the job is one of the letters, and done with, though the consumer may
// not know it yet. A letter that is older than the job is of another stream of
// that name, which was made anew.
func (e elsewhere) isDead(w jobstream.Pending) bool {
	since, ok := e.dead[w.Sequence]
	return ok && w.Delivered && !since.Before(w.Stored)
}
