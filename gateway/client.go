package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// The gateway's methods. The reference page's table names the first
// v3.CreateCardPayments; its example, and the gateway, say v3.Capture.
const (
	MethodCapture    = "v3.Capture"
	MethodQueryOrder = "v3.QueryOrder"
)

// Client calls the gateway. It is safe for concurrent use and starts no
// goroutines but those of its connections.
type Client struct {
	config    Config // without its secret
	key       atomic.Pointer[key]
	transport *http.Transport
	blank     *http.Request // what every request has, all but context and body
	overtime  error
}

// New returns a client. It makes no connection yet. Errors name every problem
// of the configuration and wrap [ErrConfig].
func New(config Config) (*Client, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	c := &Client{
		transport: newTransport(config),
		overtime:  fmt.Errorf("the call's time is over: no full answer within %s", config.Timeout),
	}
	var err error
	if c.blank, err = blankRequest(config); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	c.key.Store(newKey(config.SecretKey))
	c.config = config
	c.config.SecretKey = ""
	return c, nil
}

// SetSecret replaces the key. Calls that have begun keep the one they signed
// with. An empty key changes nothing; the error wraps [ErrConfig].
func (c *Client) SetSecret(s Secret) error {
	if s == "" {
		return fmt.Errorf("%w: the new secret key is empty; the old one stays", ErrConfig)
	}
	c.key.Store(newKey(s))
	return nil
}

// Close closes the idle connections. A call in flight ends on its own; a call
// made after Close works and opens a new connection.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// CaptureRequest is one capture call.
type CaptureRequest struct {
	TradeID string
	Amount  capture.Amount
	// Description is required by the gateway: an empty one is sent as "capture of"
	// and the trade.
	Description string
	// NotifyURL is where the gateway POSTs changes of state. It is required too;
	// an empty one is sent as it is, and may be refused with -3001.
	NotifyURL string
	// RequestID is the caller's: unique among all captures of the account, the
	// same when the same attempt is sent again, at least 24 letters and digits.
	RequestID string
	// Until is when the call must have ended; it has less than
	// [Config.Timeout] then, and is not sent where that moment is over. The
	// zero time leaves it to the timeout.
	Until time.Time
}

var errUntil = errors.New("the call's time is over: no full answer before it had to end")

// Capture asks the gateway, once, to capture a trade (v3.Capture).
//
// Done means paid, with the trade, amount and currency of the request.
// Refused carries a code of the gateway's table, or 200 with the Order that
// was declined, failed, expired or cancelled. Not sent means that no byte of
// the request left this machine. All else is unknown, an accepted but unpaid
// capture (Code 200 and the Order), an answer about another trade, amount or
// currency, and one that contradicts itself included. Code is set only if the
// HTTP status (2xx, or 4xx with a refusal) and the envelope's status agree with
// it, or if the gateway's table does not have it; any other code is named in
// Why alone. A request without trade, amount or request_id is not sent.
func (c *Client) Capture(ctx context.Context, r CaptureRequest) capture.Answer {
	if r.TradeID == "" || r.Amount.IsZero() || r.RequestID == "" {
		return capture.Answer{Kind: capture.AnswerNotSent, Why: "the request lacks a trade_id, an amount or a request_id"}
	}
	return c.call(ctx, r.question(), r.Until)
}

func (r *CaptureRequest) question() *question {
	return &question{method: MethodCapture, tradeID: r.TradeID, amount: r.Amount, data: []param{
		{"amount", r.Amount.Number()},
		{"currency", r.Amount.Currency()},
		{"description", cmp.Or(r.Description, "capture of "+r.TradeID)},
		{"notify_url", r.NotifyURL},
		{"request_id", r.RequestID},
		{"trade_id", r.TradeID},
	}}
}

// Query asks the gateway what became of a trade (v3.QueryOrder).
//
// Done carries the Order, whatever its state; its Amount is zero if none could
// be read, and AmountText is what was sent then. So it is also for a paid order
// whose trade_id is missing or no text. Refused, unknown and not sent are as in
// [Client.Capture].
func (c *Client) Query(ctx context.Context, tradeID string) capture.Answer {
	if tradeID == "" {
		return capture.Answer{Kind: capture.AnswerNotSent, Why: "the request lacks a trade_id"}
	}
	return c.call(ctx, queryOf(tradeID), time.Time{})
}

func queryOf(tradeID string) *question {
	return &question{method: MethodQueryOrder, tradeID: tradeID, data: []param{{"trade_id", tradeID}}}
}

// question is what a call asks, which its answer is held against.
type question struct {
	method  string
	tradeID string
	amount  capture.Amount // of a capture
	data    []param
}

// call makes one signed POST and reads what came back.
func (c *Client) call(ctx context.Context, q *question, until time.Time) capture.Answer {
	start := time.Now()
	key := c.key.Load()
	body, sign := request{c.config.User, q.method, c.config.Clock().Unix(), q.data}.write(key)
	got := c.post(ctx, body, until)
	got.hideSign(sign)
	answer := got.answer(q)
	redact(&answer, string(key.secret), sign)
	answer.RetryAfter = got.wait(c.config.Clock())
	answer.Latency = time.Since(start)
	return answer
}

// post makes the one HTTP exchange of a call. It uses the transport itself:
// http.Client would add redirects and cookies.
func (c *Client) post(ctx context.Context, body []byte, until time.Time) *exchange {
	end, over := time.Now().Add(c.config.Timeout), c.overtime
	if !until.IsZero() && until.Before(end) {
		end, over = until, errUntil
	}
	ctx, cancel := context.WithDeadlineCause(ctx, end, over)
	defer cancel()
	got := new(exchange)
	ctx = got.trace(ctx)
	resp, err := c.transport.RoundTrip(fill(ctx, c.blank, body))
	if err != nil {
		got.fail(ctx, err)
		return got
	}
	got.read(ctx, resp)
	return got
}
