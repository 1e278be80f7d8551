package controls

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/jobstream"
	"github.com/capture-worker/capture-worker/ledger"
)

const (
	// lossJobs is the number of a consumer's newest jobs that are looked up in the
	// ledger, lossMessages the number of messages that are read to find these jobs.
	lossJobs     = 64
	lossMessages = 512
	lossAtOnce   = 8
	// lossSlack is how much older than the last ack the newest event may be if the
	// stream keeps no job that is done: an ack follows its outcome at once.
	lossSlack = time.Minute
)

// LedgerMark is the position of ledger and jobs at one time.
type LedgerMark struct {
	Created time.Time         `json:"created"`  // when the ledger's stream was created
	LastSeq uint64            `json:"last_seq"` // of the ledger
	Jobs    map[string]uint64 `json:"jobs"`     // the last job delivered, by consumer
}

// LedgerLoss records that finished jobs have no trade in the ledger: the ledger has
// lost events, as after a restore of an older backup (rule 2).
type LedgerLoss struct {
	Found    time.Time   `json:"found"`
	Worker   string      `json:"worker,omitempty"`
	Consumer string      `json:"consumer"`
	Jobs     int         `json:"jobs"`               // finished jobs without a trade, among the checked ones
	Sequence uint64      `json:"sequence,omitempty"` // of the newest of them
	Mark     LedgerMark  `json:"mark"`
	Accepted *Acceptance `json:"accepted,omitempty"`
}

// LedgerGuard detects that the ledger has lost events, and stores that until an
// operator accepts the loss.
type LedgerGuard struct {
	JS      jetstream.JetStream
	Streams jobstream.Config
	Stream  string // the ledger's
	Ledger  ledger.Ledger
	Jobs    *capture.Decoder
	Control *Store
	Worker  string
	Log     *slog.Logger

	behind atomic.Bool
	since  atomic.Pointer[time.Time] // when this process noticed
}

// Behind reports whether every first call has to be preceded by a query.
func (g *LedgerGuard) Behind() bool { return g.behind.Load() }

// Since returns when this process noticed that the ledger may have lost events,
// the zero time if it has not.
func (g *LedgerGuard) Since() time.Time {
	if at := g.since.Load(); at != nil && g.Behind() {
		return *at
	}
	return time.Time{}
}

// setBehind records that the ledger may have lost events, and reports whether that
// was known.
func (g *LedgerGuard) setBehind() (known bool) {
	if !g.Behind() {
		now := time.Now()
		g.since.Store(&now)
	}
	return g.behind.Swap(true)
}

// Start compares ledger and jobs, for five seconds at most: jobs may be taken
// before it is known. Until they can be compared, the ledger counts as one that has
// lost events: Run tries again.
func (g *LedgerGuard) Start(ctx context.Context) {
	g.setBehind()
	g.check(ctx, startWait)
}

// check compares unless a result is known, and reads the stored loss and its
// acceptance.
func (g *LedgerGuard) check(ctx context.Context, bound time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	loss, err := g.Control.Loss(ctx)
	if err == nil && (loss == nil || loss.Accepted != nil) {
		loss, err = g.compare(ctx, loss)
	}
	if err != nil {
		g.Log.WarnContext(ctx, "comparison of ledger and jobs failed, first calls are preceded by Order Query", "error", err)
		return
	}
	if loss == nil || loss.Accepted != nil {
		g.behind.Store(false)
		return
	}
	g.Log.ErrorContext(ctx, "ledger behind its jobs: events lost, first calls are preceded by Order Query", "stream", g.Stream,
		"consumer", loss.Consumer, "jobs", loss.Jobs, "sequence", loss.Sequence, "found", loss.Found,
		"accept", "`capture-worker resume --ledger`, see docs/operations.md, CaptureLedgerBehind")
}

// lossWait bounds a comparison, startWait the first one, which holds up the start.
const (
	lossWait  = 30 * time.Second
	startWait = 5 * time.Second
)

// Run polls the losses that other workers find and operators accept, until ctx
// ends.
func (g *LedgerGuard) Run(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		g.poll(ctx)
	}
}

func (g *LedgerGuard) poll(ctx context.Context) {
	within, cancel := context.WithTimeout(ctx, lossWait)
	defer cancel()
	loss, err := g.Control.Loss(within)
	switch {
	case err != nil: // keep the previous result
	case loss != nil && loss.Accepted == nil:
		if !g.setBehind() {
			g.Log.ErrorContext(ctx, "ledger behind its jobs, found by another worker, first calls are preceded by Order Query", "worker", loss.Worker)
		}
	case g.behind.Load() && loss != nil:
		g.behind.Store(false)
		g.Log.InfoContext(ctx, "ledger accepted by operator", "by", loss.Accepted.By, "reason", loss.Accepted.Reason)
	case g.behind.Load():
		g.check(ctx, lossWait) // it could not be compared before
	}
}

// compare looks up the newest finished jobs in the ledger. Jobs up to an accepted
// mark are not checked again, unless the ledger was replaced since.
func (g *LedgerGuard) compare(ctx context.Context, accepted *LedgerLoss) (*LedgerLoss, error) {
	mark, infos, err := g.mark(ctx)
	if err != nil {
		return nil, err
	}
	var after map[string]uint64
	if accepted != nil && accepted.Mark.Created.Equal(mark.Created) && mark.LastSeq >= accepted.Mark.LastSeq {
		after = accepted.Mark.Jobs
	}
	for _, info := range infos {
		loss, err := g.compareConsumer(ctx, info, after[info.Name])
		if err != nil {
			return nil, fmt.Errorf("comparing the ledger with consumer %s: %w", info.Name, err)
		}
		if loss != nil {
			loss.Found, loss.Worker, loss.Mark = time.Now().UTC(), g.Worker, mark
			return loss, g.Control.putLoss(ctx, *loss)
		}
	}
	return nil, nil
}

// Mark returns the current position of ledger and jobs.
func (g *LedgerGuard) Mark(ctx context.Context) (LedgerMark, error) {
	mark, _, err := g.mark(ctx)
	return mark, err
}

func (g *LedgerGuard) mark(ctx context.Context) (LedgerMark, []*jetstream.ConsumerInfo, error) {
	// Consumers first: jobs that are acked later are in the ledger by then.
	mark := LedgerMark{Jobs: map[string]uint64{}}
	var infos []*jetstream.ConsumerInfo
	for _, wanted := range g.Streams.Consumers {
		c, err := g.JS.Consumer(ctx, g.Streams.Jobs, wanted.Name)
		if err != nil {
			return mark, nil, fmt.Errorf("consumer %s of stream %s: %w", wanted.Name, g.Streams.Jobs, err)
		}
		infos = append(infos, c.CachedInfo())
		mark.Jobs[wanted.Name] = c.CachedInfo().Delivered.Stream
	}
	stream, err := g.JS.Stream(ctx, g.Stream)
	if err != nil {
		return mark, nil, fmt.Errorf("stream %s: %w", g.Stream, err)
	}
	info := stream.CachedInfo()
	mark.Created, mark.LastSeq = info.Created.UTC(), info.State.LastSeq
	return mark, infos, nil
}

// deliveredJob is a job that was delivered, and whether it is known to be done.
type deliveredJob struct {
	sequence uint64
	key      string
	acked    bool
	missing  bool
}

// compareConsumer returns a loss if a finished job has no trade in the ledger:
// every finished job has one. Among the jobs delivered after the ack floor, as many
// may have none as are not acked.
func (g *LedgerGuard) compareConsumer(ctx context.Context, info *jetstream.ConsumerInfo, after uint64) (*LedgerLoss, error) {
	jobs, kept, err := g.newestJobs(ctx, info, after)
	if err != nil {
		return nil, err
	}
	if !kept {
		return g.compareTimes(ctx, info)
	}
	if err := g.lookUp(ctx, jobs); err != nil {
		return nil, err
	}
	acked, delivered := 0, 0
	loss := &LedgerLoss{Consumer: info.Name}
	for _, j := range jobs {
		switch {
		case !j.missing:
			continue
		case j.acked:
			acked++
		default:
			delivered++
		}
		loss.Sequence = max(loss.Sequence, j.sequence)
	}
	if loss.Jobs = acked + max(0, delivered-info.NumAckPending); loss.Jobs == 0 {
		return nil, nil
	}
	return loss, nil
}

// newestJobs reads the newest jobs up to the last delivered one; kept is false if
// the stream removes finished jobs.
func (g *LedgerGuard) newestJobs(ctx context.Context, info *jetstream.ConsumerInfo, after uint64) (jobs []deliveredJob, kept bool, err error) {
	stream, err := g.JS.Stream(ctx, info.Stream)
	if err != nil {
		return nil, false, fmt.Errorf("stream %s: %w", info.Stream, err)
	}
	if stream.CachedInfo().Config.Retention != jetstream.LimitsPolicy {
		return nil, false, nil
	}
	first := max(stream.CachedInfo().State.FirstSeq, after+1, 1)
	read := 0
	for last := info.Delivered.Stream; last >= first && len(jobs) < lossJobs && read < lossMessages; {
		from := max(first, last-min(last, lossJobs)+1)
		found, err := jobstream.Read(ctx, stream, from, last)
		if err != nil {
			return nil, true, fmt.Errorf("reading stream %s: %w", info.Stream, err)
		}
		read += len(found)
		for _, m := range found {
			if m == nil || !jobstream.Selects(info.Config, m.Subject) {
				continue
			}
			// A message that is not a job is acked too, and has no trade in the
			// ledger.
			if job, err := g.Jobs.Decode(m.Header, m.Data); err == nil {
				jobs = append(jobs, deliveredJob{sequence: m.Sequence, key: capture.TradeKey(job.TradeID), acked: m.Sequence <= info.AckFloor.Stream})
			}
		}
		last = from - 1
	}
	return jobs, true, nil
}

func (g *LedgerGuard) lookUp(ctx context.Context, jobs []deliveredJob) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(lossAtOnce)
	for n := range jobs {
		group.Go(func() error {
			_, found, err := g.Ledger.Last(ctx, jobs[n].key)
			if errors.Is(err, capture.ErrEvent) {
				found, err = true, nil // the trade exists, although an event is unreadable
			}
			jobs[n].missing = !found
			return err
		})
	}
	return group.Wait()
}

// compareTimes is for a stream that removes finished jobs: the last ack must not be
// much younger than the newest event. The server loses the time of the ack when it
// restarts.
func (g *LedgerGuard) compareTimes(ctx context.Context, info *jetstream.ConsumerInfo) (*LedgerLoss, error) {
	stream, err := g.JS.Stream(ctx, g.Stream)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", g.Stream, err)
	}
	last := info.AckFloor.Last
	if last == nil || last.Sub(stream.CachedInfo().State.LastTime) < lossSlack {
		return nil, nil
	}
	return &LedgerLoss{Consumer: info.Name, Sequence: info.AckFloor.Stream}, nil
}
