package gateway

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// The gateway's methods. The table on the gateway's reference page calls the first
// one v3.CreateCardPayments; the example on the same page, and the gateway, use
// v3.Capture.
const (
	MethodCapture    = "v3.Capture"
	MethodQueryOrder = "v3.QueryOrder"
)

// Client calls the gateway. Make one with [New]: the methods of a zero Client send
// nothing and say so. A Client is safe for concurrent use, and starts no
// goroutines except those of its connections.
type Client struct {
	config     Config // without its secret
	key        atomic.Pointer[key]
	transport  atomic.Pointer[http.Transport]
	template   *http.Request // everything of a request except context and body
	errTimeout error
}

// New returns a client. It opens no connection. The error names every problem of
// the configuration and wraps [ErrConfig].
func New(config Config) (*Client, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	c := &Client{errTimeout: fmt.Errorf("timeout: no complete answer within %s", config.Timeout)}
	c.transport.Store(newTransport(config))
	var err error
	if c.template, err = requestTemplate(config); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	c.key.Store(newKey(config.SecretKey))
	c.config = config
	c.config.SecretKey = ""
	return c, nil
}

const notConfigured = "the client is not configured: make it with gateway.New"

// SetSecret replaces the key. Calls in progress keep the key that they were signed
// with. An empty key changes nothing and returns an error that wraps [ErrConfig].
func (c *Client) SetSecret(s Secret) error {
	switch {
	case s == "":
		return fmt.Errorf("%w: the new secret key is empty; the old one stays in use", ErrConfig)
	case c.transport.Load() == nil:
		return fmt.Errorf("%w: %s", ErrConfig, notConfigured)
	}
	c.key.Store(newKey(s))
	return nil
}

// Close closes the idle connections. It does not interrupt calls in progress; a
// call made after Close opens a new connection.
func (c *Client) Close() {
	if t := c.transport.Load(); t != nil {
		t.CloseIdleConnections()
	}
}

// SetTLS replaces the TLS configuration, as when certificates are renewed. Calls in
// progress keep their connections; later calls open new ones. The error wraps
// [ErrConfig], and the old configuration stays in use.
func (c *Client) SetTLS(t TLS) error {
	if err := t.check(); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if c.transport.Load() == nil {
		return fmt.Errorf("%w: %s", ErrConfig, notConfigured)
	}
	config := c.config
	config.TLS = t
	// Idle connections that calls in progress return to the old transport end with
	// its idle timeout.
	c.transport.Swap(newTransport(config)).CloseIdleConnections()
	return nil
}

// CaptureRequest is one capture call. TradeID, Amount and RequestID are required.
type CaptureRequest struct {
	TradeID string
	// Amount is sent with all decimals of its currency, such as 24.90.
	Amount capture.Amount
	// Description is required by the gateway; if empty, "capture of" and the
	// trade_id is sent.
	Description string
	// NotifyURL is the URL to which the gateway POSTs changes of state. The gateway
	// requires it; an empty one is sent as it is and may be refused with -3001.
	NotifyURL string
	// RequestID identifies the attempt: unique among all captures of the account,
	// and the same when the same attempt is repeated. See [NewRequestID] and
	// [ValidRequestID].
	RequestID string
	// Until is the time by which the call must have ended, if that is earlier than
	// [Config.Timeout] allows. The call is not sent if it is over. Zero means no
	// limit besides the timeout.
	Until time.Time
}

// minRequestID is the number of letters and digits that a request_id has at least.
const minRequestID = 24

// NewRequestID returns a new random request_id of 26 letters and digits, with at
// least 128 bits of randomness. Store it before the call: a repeated call of the
// same attempt must use it again.
func NewRequestID() string { return rand.Text() }

// ValidRequestID reports whether id has at least 24 characters, all of them ASCII
// letters or digits. The gateway's page recommends this form; a shorter or guessable
// id could repeat one of another capture.
func ValidRequestID(id string) bool {
	for i := range len(id) {
		if c := id[i]; !(c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z') {
			return false
		}
	}
	return len(id) >= minRequestID
}

// problem returns why the request must not be sent, "" if it may be.
func (r *CaptureRequest) problem() string {
	switch {
	case r.TradeID == "" || r.Amount.IsZero() || r.RequestID == "":
		return "the request lacks a trade_id, an amount or a request_id"
	case !ValidRequestID(r.RequestID):
		return fmt.Sprintf("the request_id is not at least %d letters and digits: use gateway.NewRequestID", minRequestID)
	}
	return ""
}

var errUntil = errors.New("timeout: no complete answer before CaptureRequest.Until")

// Capture asks the gateway to capture a trade (v3.Capture), once: it never repeats
// a request of which a byte may have been sent. It blocks until the answer is
// complete, ctx ends, or the timeout is over.
//
// The kinds of the answer:
//
//   - done: the order is paid, with the trade, amount and currency of the request.
//   - refused: Code is one of the gateway's table; or Code is 200 and Order was
//     declined, failed, expired or cancelled.
//   - not sent: no byte of the request left this machine. Also returned for a
//     request without trade, amount or request_id, and for a request_id that is
//     not a [ValidRequestID].
//   - unknown: anything else. This includes a capture that was accepted but is not
//     yet paid (Code 200 and an Order), an answer about another trade, amount or
//     currency, and an answer that contradicts itself.
//
// Code is set only if the HTTP status (2xx, or 4xx with a refusal) and the status
// in the envelope agree with it, or if the gateway's table does not list it; other
// codes appear only in Why. Use [capture.Answer.Err] to handle the answer as an
// error.
func (c *Client) Capture(ctx context.Context, r CaptureRequest) capture.Answer {
	if problem := r.problem(); problem != "" {
		return capture.Answer{Kind: capture.AnswerNotSent, Why: problem}
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

// Query asks the gateway for the state of a trade (v3.QueryOrder).
//
// A done answer has the Order, whatever its state: done does not mean paid. If its
// amount cannot be read, Order.Amount is zero and Order.AmountText is the text that
// was sent; the same holds for a paid order whose trade_id is missing or not a
// string. Refused, unknown and not sent are as in [Client.Capture].
func (c *Client) Query(ctx context.Context, tradeID string) capture.Answer {
	if tradeID == "" {
		return capture.Answer{Kind: capture.AnswerNotSent, Why: "the request lacks a trade_id"}
	}
	return c.call(ctx, queryOf(tradeID), time.Time{})
}

func queryOf(tradeID string) *question {
	return &question{method: MethodQueryOrder, tradeID: tradeID, data: []param{{"trade_id", tradeID}}}
}

// question is what a call asks; its answer is compared with it.
type question struct {
	method  string
	tradeID string
	amount  capture.Amount // zero for a query
	data    []param
}

// call makes one signed POST and classifies the response.
func (c *Client) call(ctx context.Context, q *question, until time.Time) capture.Answer {
	if c == nil || c.transport.Load() == nil {
		return capture.Answer{Kind: capture.AnswerNotSent, Why: notConfigured}
	}
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

// post makes the HTTP exchange of a call. It uses the transport directly, because
// http.Client would follow redirects and send cookies.
func (c *Client) post(ctx context.Context, body []byte, until time.Time) *exchange {
	end, cause := time.Now().Add(c.config.Timeout), c.errTimeout
	if !until.IsZero() && until.Before(end) {
		end, cause = until, errUntil
	}
	ctx, cancel := context.WithDeadlineCause(ctx, end, cause)
	defer cancel()
	got := new(exchange)
	ctx = got.trace(ctx)
	resp, err := c.transport.Load().RoundTrip(fill(ctx, c.template, body))
	if err != nil {
		got.fail(ctx, err)
		return got
	}
	got.read(ctx, resp)
	return got
}
