package gatewaytest

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/capture-worker/capture-worker/gateway"
)

// RepeatedMode is how a repeated request_id of a trade is handled.
type RepeatedMode string

// The ways to handle a repeated request_id (which one the real gateway uses is not verified).
const (
	// Replay, the default: if the first call captured, its answer is repeated;
	// otherwise the call is run again.
	Replay RepeatedMode = "replay"
	// Refuse answers -4118, whatever the result of the first call was.
	Refuse RepeatedMode = "refuse"
	// ReplayError repeats the first answer, including -1000.
	ReplayError RepeatedMode = "replay_error"
	// Rerun runs the call like one with a new request_id.
	Rerun RepeatedMode = "rerun"
)

// AmountMode is which amount Order Query shows after a partial capture.
type AmountMode string

// The amounts that may be shown (which one the real gateway uses is not verified).
const (
	ShowCaptured   AmountMode = "captured" // the default
	ShowAuthorized AmountMode = "authorized"
)

// ExpiryMode is which state Order Query shows for an authorization that was not
// captured in time.
type ExpiryMode string

// The states that may be shown (which one the real gateway uses is not verified).
const (
	ShowExpired         ExpiryMode = "expired" // the default
	ShowStillAuthorized ExpiryMode = "authorized"
)

// Form is the form of the body of a notification.
type Form string

// The known forms.
const (
	AnyForm     Form = ""        // chosen by the seed for each notification
	FormObject  Form = "object"  // {"sign":…,"data":{…}}
	FormField   Form = "field"   // resultData= and the same, URL-encoded
	FormEncoded Form = "encoded" // the same, URL-encoded without a name
	FormDotted  Form = "dotted"  // signature.{json of the data}
)

// Options configures a [Simulator]. User and Secret must be set; the zero values of the
// other fields are a gateway without faults.
type Options struct {
	User   string         // UID of the cashier account
	Secret gateway.Secret // secret_key, for calls and notifications
	Seed   uint64
	Faults Faults
	Down   Down
	// Latency is the wait before every answer.
	Latency time.Duration
	Timing  Timing
	// Clock returns the time of events and for the capture window; nil is time.Now.
	// Delays use real timers, or those of testing/synctest.
	Clock func() time.Time

	RepeatedRequestID RepeatedMode
	PartialAmount     AmountMode
	AfterWindow       ExpiryMode
	// SecondCapture is the code for another capture of a captured trade; "" is -4024
	// (unverified; -1000 and -4084 are as likely).
	SecondCapture string
	// PartialCaptures lets further captures of a trade take effect up to the authorized
	// amount (unverified).
	PartialCaptures bool
	NotifyForm      Form
	// AutoCreate lets a capture of an unknown trade create it, authorized for that
	// amount, instead of answering -4024. Order Query shows unknown trades as authorized,
	// except capture.ProbeTradeID.
	AutoCreate bool
	// ForgetCalls counts the calls of a trade without recording them, to save memory
	// under load.
	ForgetCalls bool
	// AllowEmptyNotifyURL accepts capture calls with an empty notify_url. They get -3001
	// otherwise, as an empty description always does.
	AllowEmptyNotifyURL bool
	// NotifyRendering is the way of signing notifications, one of gateway.Renderings; ""
	// chooses among the likely ones by the seed.
	NotifyRendering string
}

// Timing has the durations of faults and notifications. A zero field is that of
// [DefaultTiming]; use a nanosecond for an immediate effect.
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

// DefaultTiming returns durations for real time: late requests and stale views end well
// within a client's settle time of 45 seconds.
func DefaultTiming() Timing {
	return Timing{
		LateBy: 20 * time.Second, ErrorLateBy: 20 * time.Second, StaleBy: 10 * time.Second, HangMax: 2 * time.Minute,
		SlowBy: 3 * time.Second, PendingFor: 15 * time.Second,
		NotifyDelay: 500 * time.Millisecond, NotifyLateBy: 30 * time.Second, NotifyRetry: 2 * time.Second,
	}
}

// Scaled returns the timing with every duration multiplied by factor.
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

// errorCode matches the form of the published error codes.
var errorCode = regexp.MustCompile(`^-[1-9][0-9]{0,8}$`)

// Validate returns an error that names every invalid option, nil if there is none.
func (o Options) Validate() error {
	var errs []error
	word := func(name, value string, allowed ...string) {
		if value != "" && !slices.Contains(allowed, value) {
			errs = append(errs, fmt.Errorf("gateway simulator: %s is %q, it must be one of %q", name, value, allowed))
		}
	}
	if o.User == "" {
		errs = append(errs, errors.New("gateway simulator: Options.User is not set"))
	}
	if o.Secret == "" {
		errs = append(errs, errors.New("gateway simulator: Options.Secret is not set"))
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
		errs = append(errs, errors.New("gateway simulator: SecondCapture must be a negative integer, like the gateway's error codes"))
	}
	return errors.Join(append(errs, o.Faults.Validate(), o.Down.Validate())...)
}
