package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/natsconn"
	"github.com/capture-worker/capture-worker/worker"
)

const (
	// elsewhereTimeout bounds the search for a job of which the ledger knows
	// nothing, and maxBacklog how many waiting jobs of a lane it reads.
	elsewhereTimeout = 20 * time.Second
	maxBacklog       = 100_000
)

// elsewhere looks for jobs of which the ledger knows nothing yet: among the dead
// letters, and among those that wait.
type elsewhere struct {
	js           jetstream.JetStream
	c            config.Config
	trade, order string // one of the two

	dec  *capture.Decoder
	dead map[uint64]time.Time // sequences of jobs that are dead letters, and since when
}

// explain says where the job is, in lines that follow what the ledger does not
// know.
func (e elsewhere) explain(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, elsewhereTimeout)
	defer cancel()
	var err error
	if e.dec, err = capture.NewDecoder(mappingOf(e.c)); err != nil {
		return ""
	}
	e.dead = map[uint64]time.Time{}
	lines := append(e.letters(ctx), e.backlog(ctx)...)
	return strings.Join(append([]string{""}, lines...), "\n")
}

func (e elsewhere) isAbout(trade, order string) bool {
	return e.trade != "" && trade == e.trade || e.order != "" && order == e.order
}

func (e elsewhere) letters(ctx context.Context) []string {
	d := &desk{c: e.c, js: e.js, dec: e.dec, box: worker.LetterBox{JS: e.js, Stream: e.c.Jobs.DLQStream}}
	var lines []string
	err := d.list(ctx, func(l letterLine) error {
		if e.isAbout(l.Trade, l.Order) {
			lines = append(lines, fmt.Sprintf("dead letter %d (%s, %s UTC): see `capture-worker dlq show %d`",
				l.Seq, l.Reason, l.Time.Format(time.DateTime), l.Seq))
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
	return lines
}

func (e elsewhere) backlog(ctx context.Context) []string {
	var lines []string
	for _, lane := range e.c.LaneList() {
		found, read, err := e.inLane(ctx, lane)
		lines = append(lines, found...)
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
	return lines
}

func (e elsewhere) inLane(ctx context.Context, lane config.Lane) (lines []string, read int, err error) {
	passed := 0 // of those that wait, how many are no jobs
	for w, err := range worker.Backlog(ctx, e.js, e.c.Jobs.Stream, lane.Consumer) {
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
		if !e.isAbout(e.dec.Hint(w.Header, w.Body)) {
			continue
		}
		if e.isDead(w) {
			continue
		}
		where := fmt.Sprintf("published %s UTC on %s, sequence %d of %s", w.Stored.UTC().Format(time.DateTime), w.Subject, w.Sequence, e.c.Jobs.Stream)
		if w.Delivered {
			lines = append(lines, "its job was "+where+", and was delivered: a worker has it, or it waits for its next try")
		} else {
			lines = append(lines, fmt.Sprintf("its job was %s, and waits for a worker: %d come before it", where, w.Ahead-passed))
		}
	}
	return lines, read, nil
}

// isDead: the job is one of the letters, and done with, though the consumer may
// not know it yet. A letter that is older than the job is of another stream of
// that name, which was made anew.
func (e elsewhere) isDead(w worker.Waiting) bool {
	since, ok := e.dead[w.Sequence]
	return ok && w.Delivered && !since.Before(w.Stored)
}
