// Package acts holds the words for what operators do, and the record of those
// acts that leave neither an event of a trade nor a note about a dead letter: an
// append-only stream.
package acts

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Kind is what an operator did.
type Kind string

// The acts. Those of trades are events in the ledger, those of dead letters are
// notes beside them; the others are recorded here.
const (
	Release           Kind = "release"             // a parked trade was sent back to work
	Retry             Kind = "retry"               // a failed trade was sent back to work
	Dismiss           Kind = "dismiss"             // the case of a parked trade was closed
	Withdraw          Kind = "withdraw"            // no capture of a trade is wanted any more
	Republish         Kind = "republish"           // the job of a dead letter was published again
	DismissDeadLetter Kind = "dismiss_dead_letter" // the case of a dead letter was closed
	Pause             Kind = "pause"               // a lane delivers no jobs
	Resume            Kind = "resume"              // a lane delivers jobs again, or something was accepted so that work continues
	Publish           Kind = "publish"             // the jobs of a file were sent
)

// Kinds lists the acts.
func Kinds() []Kind {
	return []Kind{Release, Retry, Dismiss, Withdraw, Republish, DismissDeadLetter, Pause, Resume, Publish}
}

// Stream is the default name of the stream of the acts, SubjectPrefix what its
// subjects begin with; the act is the last token.
const (
	Stream        = "CAPTURE_ACTS"
	SubjectPrefix = "capture.acts."
)

// MaxAge is how long acts are kept.
const MaxAge = 400 * 24 * time.Hour

// timeout bounds one request to the broker.
const timeout = 10 * time.Second

// ErrAct is wrapped by errors about what is not an act.
var ErrAct = errors.New("not an act of an operator")

// Act is one act.
type Act struct {
	ID      string    `json:"id"`
	Act     Kind      `json:"act"`
	By      string    `json:"by"`
	Reason  string    `json:"reason"`
	Time    time.Time `json:"time"`
	Ledger  string    `json:"ledger"` // the stream of the ledger that it is about
	About   string    `json:"about"`  // lane batch, code -4024, file orders.csv
	Detail  string    `json:"detail,omitempty"`
	TradeID string    `json:"trade_id,omitempty"`
	// Failed says why the act had no effect. It is a second record of the act, with
	// an id of its own.
	Failed string `json:"failed,omitempty"`
}

// maxFailed bounds the text of an error that is kept.
const maxFailed = 500

// Recorder records acts. All its fields are required.
type Recorder struct {
	JS     jetstream.JetStream
	Stream string // of the acts
	Ledger string // stream of the ledger that they are about
}

// Do records the act and then carries it out: no act is without a record. An act
// that fails is recorded again, with the error. ID, Time and Ledger are set here.
func (r Recorder) Do(ctx context.Context, a Act, f func() error) error {
	if err := r.Record(ctx, a); err != nil {
		return err
	}
	err := f()
	if err == nil {
		return nil
	}
	if a.Failed = err.Error(); len(a.Failed) > maxFailed {
		a.Failed = a.Failed[:maxFailed]
	}
	// ctx may be what failed.
	return errors.Join(err, r.Record(context.WithoutCancel(ctx), a))
}

// Record records an act. When the error is nil it is stored.
func (r Recorder) Record(ctx context.Context, a Act) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	a.ID, a.Time, a.Ledger = rand.Text(), time.Now().UTC(), r.Ledger
	body, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("recording the act %s: %w", a.Act, err)
	}
	_, err = r.JS.Publish(ctx, SubjectPrefix+string(a.Act), body, jetstream.WithMsgID(a.ID), jetstream.WithExpectStream(r.Stream))
	if errors.Is(err, jetstream.ErrNoStreamResponse) {
		return fmt.Errorf("recording the act %s: there is no stream %s; `capture-worker run` creates it: %w", a.Act, r.Stream, err)
	}
	if err != nil {
		return fmt.Errorf("recording the act %s in stream %s: %w", a.Act, r.Stream, err)
	}
	return nil
}

// Decode reads a record of the stream. Errors wrap ErrAct. Unknown members and
// acts are kept: a newer program may have written them.
func Decode(body []byte) (Act, error) {
	var a Act
	if err := json.Unmarshal(body, &a); err != nil {
		return Act{}, fmt.Errorf("%w: %w", ErrAct, err)
	}
	if a.ID == "" || a.Act == "" {
		return Act{}, fmt.Errorf("%w: the members id and act are required, and one is missing", ErrAct)
	}
	return a, nil
}
