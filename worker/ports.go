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

// Limiter limits what goes to the gateway. GatewayLimiter is the one that workers
// use.
type Limiter interface {
	// Acquire waits for a turn: the gateway available, a rate token, a place among
	// the calls being prepared. It holds no gateway slot. release gives the place
	// back.
	Acquire(ctx context.Context) (release func(), err error)
	// Begin waits for a gateway slot and holds it for one call. end gives it back,
	// with the answer to the call. An answer without latency that was not sent is
	// that of a call that was not tried, and so is the zero answer.
	Begin(ctx context.Context) (end func(capture.Answer), err error)
}

// IntakeGuard decides whether calls may be made at all, and takes what came of
// them (rule 9). Intake.Guard returns the one that workers use.
type IntakeGuard interface {
	// Admit returns an error that wraps ErrPaused if no call about the trade may
	// be prepared now.
	Admit(tradeID string) error
	// Observe takes the answer to a call about a trade, and reports whether it
	// is excused: the intake is paused for a fault of ours, also because of this
	// very answer.
	Observe(ctx context.Context, tradeID string, via capture.Via, a capture.Answer) (excused bool)
	// MayFail reports whether a trade may be failed for what the gateway refuses,
	// with that code since that time: our account is known to be the right one,
	// or nothing speaks against it.
	MayFail(ctx context.Context, code string, since time.Time) bool
}

// Delayer lets a delivery wait inside, holding no slot. It returns false if there
// is no place to wait or the worker is stopping; the job is then requeued.
type Delayer interface {
	Wait(ctx context.Context, until time.Time) bool
}
