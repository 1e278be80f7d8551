package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/jobfile"
)

const (
	sendWindow = 256              // messages in flight
	tryTimeout = 5 * time.Second  // timeout of one try
	rowTimeout = 30 * time.Second // limit of all tries of one row
	firstPause = 100 * time.Millisecond
	lastPause  = 2 * time.Second
)

// publishFunc stores one message and reports whether the stream had it.
type publishFunc func(ctx context.Context, id string, r jobfile.Row) (repeated bool, err error)

// sender publishes rows. A row counts as sent only after the stream has confirmed
// it.
type sender struct {
	publish  publishFunc
	progress func() // called for each stored row, concurrently
	sent     atomic.Int64
	repeated atomic.Int64 // rows that the stream already had
}

// send publishes the good rows of in, up to the first row that cannot be stored. It
// returns when no message is in flight.
func (s *sender) send(ctx context.Context, in jobfile.Rows, skipBad bool) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(sendWindow)
	err := s.feed(ctx, group, in, skipBad)
	if failed := group.Wait(); failed != nil {
		return failed
	}
	return err
}

func (s *sender) feed(ctx context.Context, group *errgroup.Group, in jobfile.Rows, skipBad bool) error {
	for r, err := range in {
		if err != nil {
			return err
		}
		if _, skipped := errors.AsType[*jobfile.SkipError](r.Err); skipped || r.Err != nil && skipBad {
			continue
		}
		if r.Err != nil {
			return fmt.Errorf("%s passed the check before, so the file has changed meanwhile: %s", r.Place(), jobfile.Reason(r.Err))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		group.Go(func() error { return s.sendRow(ctx, r) })
	}
	return nil
}

// sendRow tries until the row is stored or its time is over. If a failed try was
// stored, the stream recognizes the id of the next one.
func (s *sender) sendRow(ctx context.Context, r jobfile.Row) error {
	ctx, cancel := context.WithTimeout(ctx, rowTimeout)
	defer cancel()
	id := messageID(r.Job)
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		repeated, err := s.publish(ctx, id, r)
		if err == nil {
			s.sent.Add(1)
			if repeated {
				s.repeated.Add(1)
			}
			s.progress()
			return nil
		}
		if hopeless(err) || !rest(ctx, pause) {
			return fmt.Errorf("%s, trade %s: the stream did not confirm the job: %w", r.Place(), r.Job.TradeID, err)
		}
	}
}

// rest waits between tries, and reports whether there is time for another one.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// streamNotExpected is JetStream's code for a subject of another stream.
const streamNotExpected = 10060

// hopeless reports whether another try cannot succeed.
func hopeless(err error) bool {
	if errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrConnectionClosed) {
		return true
	}
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && api.ErrorCode == streamNotExpected
}

// messageID returns an id made of all members of a job in canonical form, by which
// the stream recognizes a repeated row. A row with a corrected time or amount has
// another id.
func messageID(j capture.Job) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", []string{
		j.TradeID, j.Amount.Number(), j.Amount.Currency(), j.OrderID, j.Description, j.NotifyURL,
		j.AuthorizedAmount.Number(), j.AuthorizedAt.UTC().String(), j.CaptureBefore.UTC().String(),
	}))
	return "capture-job-" + hex.EncodeToString(sum[:16])
}

// toStream publishes to one stream only.
func toStream(js jetstream.JetStream, stream, subject string) publishFunc {
	return func(ctx context.Context, id string, r jobfile.Row) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, tryTimeout)
		defer cancel()
		msg := nats.NewMsg(subject)
		msg.Data = r.Body
		msg.Header.Set("Content-Type", "application/json")
		if r.Header != nil {
			msg.Header = r.Header
		}
		ack, err := js.PublishMsg(ctx, msg, jetstream.WithMsgID(id),
			jetstream.WithExpectStream(stream), jetstream.WithRetryAttempts(0))
		if err != nil {
			return false, err
		}
		return ack.Duplicate, nil
	}
}
