// Package breaker is the circuit breaker between us and the gateway, as a pure
// state machine: it knows no clock, no lock and no goroutine. Its owner reports
// answers and probes with the time, and asks when the next probe is due. The
// worker, a batch of reconcile and the simulation all run this one.
package breaker

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// Cause is why a breaker is open.
type Cause int

// The causes. A breaker that is closed lets calls through.
const (
	Closed  Cause = iota
	Down          // the gateway gives no useful answers
	Refused       // the gateway refuses our key or user
	Held          // the gateway asked not to be called for some time (Retry-After)
)

// String returns the cause in a word.
func (c Cause) String() string { return [...]string{"closed", "down", "refused", "held"}[c] }

// Config says when a breaker opens and when it is probed. A limit that is zero
// does not apply.
type Config struct {
	InARow int           // useless answers in a row that open it
	Few    int           // or this many in a row,
	Over   time.Duration // if they took so long
	Window time.Duration // or, within each window of this length,
	Least  int           // after this many answers,
	Ratio  float64       // this share of useless ones

	OurFault bool          // a refusal of our key or user opens it
	MaxHold  time.Duration // how long a Retry-After is respected at most
	Throttle bool          // an HTTP 429 opens it

	ProbeFirst time.Duration // before the first probe,
	ProbeMax   time.Duration // doubling up to this
	ProbeNow   bool          // the first probe of Down is due at once
	// WellAfter useful answers since it last opened, the first probe of Refused
	// is due at once: among so many, a refusal is probably about one trade.
	WellAfter int
}

// Breaker counts answers. It is not safe for concurrent use.
type Breaker struct {
	cfg   Config
	cause Cause

	useless int       // in a row
	since   time.Time // when the first of them came
	code    string    // that all of them carry, "" if they differ
	useful  int       // since it last opened

	window   time.Time // end of the present one
	answers  int       // in it
	failures int

	failed    int // probes since it opened
	pause     time.Duration
	next      time.Time // the next probe
	heldUntil time.Time
}

// New returns a closed breaker.
func New(cfg Config) *Breaker { return &Breaker{cfg: cfg} }

// Useless reports whether an answer says nothing about the gateway but that it
// does not work. A code of its own that we do not know does not say that it
// works: it may be that of a maintenance.
func Useless(a capture.Answer) bool {
	return a.Kind == capture.AnswerNotSent || a.Kind == capture.AnswerUnknown && a.Order == nil
}

// Ignored reports whether an answer says nothing about the gateway at all: the
// call was not tried, or ctx was canceled while it was made. Such answers are not
// to be observed.
func Ignored(ctx context.Context, a capture.Answer) bool {
	return a.Kind == "" || a.Kind == capture.AnswerNotSent && a.Latency == 0 ||
		Useless(a) && errors.Is(ctx.Err(), context.Canceled)
}

// Cause returns why the breaker is open, Closed if it is not.
func (b *Breaker) Cause() Cause { return b.cause }

// Since returns when the first of the useless answers in a row came.
func (b *Breaker) Since() time.Time { return b.since }

// Failed returns how many probes failed since the breaker opened.
func (b *Breaker) Failed() int { return b.failed }

// OnlyCode returns the code that all useless answers in a row carry, if they are
// as many as open the breaker and there is one.
func (b *Breaker) OnlyCode() string {
	if b.useless < b.cfg.InARow {
		return ""
	}
	return b.code
}

// Next returns when the next probe is due, or the end of a hold; the zero time if
// the breaker is closed.
func (b *Breaker) Next() time.Time {
	switch {
	case b.cause == Closed:
		return time.Time{}
	case b.cause == Held || b.heldUntil.After(b.next):
		return b.heldUntil
	}
	return b.next
}

// Observe takes the answer to a call and reports whether it opened the breaker.
// While the breaker is open it may change the cause, but never closes it.
func (b *Breaker) Observe(a capture.Answer, now time.Time) (opened bool) {
	was := b.cause
	if wait := min(a.RetryAfter, b.cfg.MaxHold); wait > 0 {
		if until := now.Add(wait); until.After(b.heldUntil) {
			b.heldUntil = until
		}
		if b.cause == Closed {
			b.open(Held, now)
		}
	}
	switch {
	case b.cfg.OurFault && a.OurFault():
		b.open(Refused, now)
	case Useless(a):
		b.countUseless(a, now)
	default:
		b.useless = 0
		b.useful++
	}
	b.count(Useless(a), now)
	return was == Closed && b.cause != Closed
}

// countUseless opens the breaker after too many useless answers in a row, or
// after a few over a long time: at night a shop has one job.
func (b *Breaker) countUseless(a capture.Answer, now time.Time) {
	if b.useless == 0 {
		b.since, b.code = now, a.Code
	} else if a.Code != b.code {
		b.code = ""
	}
	b.useless++
	few := b.cause == Closed && b.cfg.Few > 0 && b.useless >= b.cfg.Few && now.Sub(b.since) >= b.cfg.Over
	throttled := b.cause == Closed && b.cfg.Throttle && a.HTTPStatus == http.StatusTooManyRequests
	many := b.cause != Refused && b.cfg.InARow > 0 && b.useless >= b.cfg.InARow
	if few || throttled || many {
		b.open(Down, now)
	}
	if throttled { // it has said that it wants no calls now
		b.pause, b.next = b.cfg.ProbeFirst, now.Add(b.cfg.ProbeFirst)
	}
}

// count opens the breaker if almost none of the answers in a window are useful.
func (b *Breaker) count(useless bool, now time.Time) {
	if b.cfg.Least == 0 || b.cause != Closed {
		return
	}
	if !now.Before(b.window) {
		b.window, b.answers, b.failures = now.Add(b.cfg.Window), 0, 0
	}
	b.answers++
	if useless {
		b.failures++
	}
	if b.answers >= b.cfg.Least && float64(b.failures) >= b.cfg.Ratio*float64(b.answers) {
		b.open(Down, now)
	}
}

func (b *Breaker) open(cause Cause, now time.Time) {
	if b.cause == Closed {
		b.failed, b.pause = 0, b.cfg.ProbeFirst
		b.next = now.Add(b.pause)
		if cause == Down && b.cfg.ProbeNow || cause == Refused && b.useful >= b.cfg.WellAfter {
			b.pause, b.next = 0, now
		}
		b.useful = 0
	}
	b.cause = cause
}

// Probed takes the answer to a probe, an Order Query, and reports whether it
// closed the breaker. Any answer about a trade does, also that there is none: our
// key and user were accepted. If these were refused before, so does any code of
// the gateway's own but -1000.
func (b *Breaker) Probed(a capture.Answer, now time.Time) (closed bool) {
	b.Observe(a, now)
	accepted := b.cause == Refused && a.Code != "" && a.Code != capture.CodeInternal
	if (!Useless(a) || accepted) && !(b.cfg.OurFault && a.OurFault()) {
		b.close()
		return true
	}
	b.failed++
	b.pause = min(max(2*b.pause, b.cfg.ProbeFirst), b.cfg.ProbeMax)
	b.next = now.Add(b.pause)
	return false
}

// Expire closes a breaker that was held once the time is over, and reports
// whether it did.
func (b *Breaker) Expire(now time.Time) (closed bool) {
	if b.cause != Held || now.Before(b.heldUntil) {
		return false
	}
	b.close()
	return true
}

func (b *Breaker) close() {
	b.cause, b.failed, b.pause, b.next = Closed, 0, 0, time.Time{}
	b.answers, b.failures, b.window = 0, 0, time.Time{}
}
