package gatewaytest

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/capture-worker/capture-worker/gateway"
)

// RepeatedMode says how a request_id is met that its trade has used before.
type RepeatedMode string

// The ways to meet a repeated request_id (unverified which is the gateway's).
const (
	// Replay: one that captured gets the answer of that capture again, any
	// other is run again. The default.
	Replay RepeatedMode = "replay"
	// Refuse: -4118, whatever became of the first.
	Refuse RepeatedMode = "refuse"
	// ReplayError: whatever was answered is answered again, also a -1000.
	ReplayError RepeatedMode = "replay_error"
	// Rerun: as if it were new.
	Rerun RepeatedMode = "rerun"
)

// AmountMode says which amount Order Query shows after a partial capture.
type AmountMode string

// The amounts that may be shown (unverified which is the gateway's).
const (
	ShowCaptured   AmountMode = "captured" // the default
	ShowAuthorized AmountMode = "authorized"
)

// ExpiryMode says which state Order Query shows of an authorization that was
// not captured in time.
type ExpiryMode string

// The states that may be shown (unverified which is the gateway's).
const (
	ShowExpired         ExpiryMode = "expired" // the default
	ShowStillAuthorized ExpiryMode = "authorized"
)

// Form is how the body of a notification is written.
type Form string

// The forms that were seen.
const (
	AnyForm     Form = ""        // chosen by the seed, notification by notification
	FormObject  Form = "object"  // {"sign":…,"data":{…}}
	FormField   Form = "field"   // resultData= and the same, URL-encoded
	FormEncoded Form = "encoded" // the same, URL-encoded without a name
	FormDotted  Form = "dotted"  // signature.{json of the data}
)

// Options say how a Simulator behaves. The zero value of every field but User
// and Secret is a sensible gateway without faults.
type Options struct {
	User   string         // UID of the cashier account
	Secret gateway.Secret // secret_key, for calls and notifications
	Seed   uint64
	Faults Faults
	Down   Down
	// Latency is waited before every answer.
	Latency time.Duration
	Timing  Timing
	// Clock stamps what happens and rules the capture window; time.Now where
	// nil. Delays run on real timers (or those of testing/synctest).
	Clock func() time.Time

	RepeatedRequestID RepeatedMode
	PartialAmount     AmountMode
	AfterWindow       ExpiryMode
	// SecondCapture is the code that another capture of a captured trade gets;
	// -4024 where empty (unverified; -1000 and -4084 are as likely).
	SecondCapture string
	// PartialCaptures lets further captures of a trade take effect as long as the
	// authorized sum allows them (unverified).
	PartialCaptures bool
	NotifyForm      Form
	// AutoCreate lets a capture of an unknown trade create it, authorized for
	// that amount, instead of answering -4024. Order Query says authorized of
	// what no call has reached yet, but for capture-worker-probe.
	AutoCreate bool
	// ForgetCalls keeps no record of the calls of a trade, only their number:
	// for load, where the record of each would be most of the memory.
	ForgetCalls bool
	// AllowEmptyNotifyURL takes a capture call whose notify_url is empty. The
	// field is required, so that it gets -3001 by default, as an empty
	// description does always.
	AllowEmptyNotifyURL bool
	// NotifyRendering is the way in which notifications are signed, one of
	// gateway.Renderings; chosen by the seed among the likely ones where empty.
	NotifyRendering string
}

// Timing holds the durations of faults and notifications. A zero field takes
// the value of DefaultTiming; for an immediate effect set a nanosecond.
type Timing struct {
	LateBy       time.Duration // a late request lands within this
	ErrorLateBy  time.Duration // a request answered -1000 (error_late) lands within this
	StaleBy      time.Duration // how old a stale query's view is
	QueryLag     time.Duration // how old every query's view is; 0 by default
	HangMax      time.Duration // a hanging connection is closed after this
	SlowBy       time.Duration // added to a slow answer
	PendingFor   time.Duration // a pending capture is paid after this
	NotifyDelay  time.Duration // from a capture to its notification
	NotifyLateBy time.Duration // the same, of a late one
	NotifyRetry  time.Duration // before the second sending; doubles after each
}

// DefaultTiming suits real time: requests land, and stale views end, well
// inside a client's settle time of 45 seconds.
func DefaultTiming() Timing {
	return Timing{
		LateBy: 20 * time.Second, ErrorLateBy: 20 * time.Second, StaleBy: 10 * time.Second, HangMax: 2 * time.Minute,
		SlowBy: 3 * time.Second, PendingFor: 15 * time.Second,
		NotifyDelay: 500 * time.Millisecond, NotifyLateBy: 30 * time.Second, NotifyRetry: 2 * time.Second,
	}
}

// Scaled returns the timing with every duration multiplied: 0.01 makes seconds
// of minutes for a demonstration.
func (t Timing) Scaled(factor float64) Timing {
	for _, d := range t.fields() {
		*d = time.Duration(float64(*d) * factor)
	}
	return t
}

func (t *Timing) fields() []*time.Duration {
	return []*time.Duration{
		&t.LateBy, &t.ErrorLateBy, &t.StaleBy, &t.QueryLag, &t.HangMax, &t.SlowBy,
		&t.PendingFor, &t.NotifyDelay, &t.NotifyLateBy, &t.NotifyRetry,
	}
}

func (t Timing) withDefaults() Timing {
	def := DefaultTiming()
	from := def.fields()
	for i, d := range t.fields() {
		if *d == 0 {
			*d = *from[i]
		}
	}
	return t
}

// errorCode is the shape of the codes that the gateway publishes for failures.
var errorCode = regexp.MustCompile(`^-[1-9][0-9]{0,8}$`)

// Validate reports every option that cannot be followed.
func (o Options) Validate() error {
	var errs []error
	word := func(name, value string, allowed ...string) {
		if value != "" && !slices.Contains(allowed, value) {
			errs = append(errs, fmt.Errorf("gateway simulator: %s is %q, it must be one of %q", name, value, allowed))
		}
	}
	if o.User == "" || o.Secret == "" {
		errs = append(errs, errors.New("gateway simulator: User and Secret must be set"))
	}
	word("RepeatedRequestID", string(o.RepeatedRequestID), string(Replay), string(Refuse), string(ReplayError), string(Rerun))
	word("PartialAmount", string(o.PartialAmount), string(ShowCaptured), string(ShowAuthorized))
	word("AfterWindow", string(o.AfterWindow), string(ShowExpired), string(ShowStillAuthorized))
	word("NotifyForm", string(o.NotifyForm), string(FormObject), string(FormField), string(FormEncoded), string(FormDotted))
	word("NotifyRendering", o.NotifyRendering, gateway.Renderings()...)
	if o.Latency < 0 || slices.ContainsFunc(o.Timing.fields(), func(d *time.Duration) bool { return *d < 0 }) {
		errs = append(errs, errors.New("gateway simulator: Latency and Timing must not be negative"))
	}
	if o.SecondCapture != "" && !errorCode.MatchString(o.SecondCapture) {
		errs = append(errs, errors.New("gateway simulator: SecondCapture must be a negative whole number, as the gateway's error codes are"))
	}
	return errors.Join(append(errs, o.Faults.Validate(), o.Down.Validate())...)
}
