package worker

import (
	"context"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
)

// Gateway is the part of gateway.Client that a job needs.
type Gateway interface {
	Capture(ctx context.Context, r gateway.CaptureRequest) capture.Answer
	Query(ctx context.Context, tradeID string) capture.Answer
}

// Limiter limits the calls to the gateway. Workers use a GatewayLimiter.
type Limiter interface {
	// Acquire waits for a turn: the gateway available, a rate token, a place among
	// the calls being prepared. It holds no gateway slot. release returns the
	// place.
	Acquire(ctx context.Context) (release func(), err error)
	// Begin waits for a gateway slot and holds it for one call. end returns the
	// slot and takes the answer to the call. The zero Answer, or one of kind not sent
	// without a latency, means that no call was attempted.
	Begin(ctx context.Context) (end func(capture.Answer), err error)
}

// IntakeGuard decides whether calls may be made, and observes their answers (rule
// 9). Workers use Intake.Guard.
type IntakeGuard interface {
	// Admit returns an error that wraps ErrPaused if no call about the trade may
	// be prepared now.
	Admit(tradeID string) error
	// Observe processes the answer to a call about a trade, and reports whether it
	// is excused: the intake is paused for a fault of ours, maybe because of this
	// answer.
	Observe(ctx context.Context, tradeID string, via capture.Via, a capture.Answer) (excused bool)
	// MayFail reports whether a trade may be failed because the gateway has refused
	// it with a code since a time: our account is proven to be the right one, or
	// there is no sign that it is not.
	MayFail(ctx context.Context, code string, since time.Time) bool
}

// Delayer lets a delivery wait inside the worker, without a slot. Wait returns
// false if there is no place or the worker is stopping; the job is then requeued.
type Delayer interface {
	Wait(ctx context.Context, until time.Time) bool
}
