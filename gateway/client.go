package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
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
	secret    atomic.Pointer[Secret]
	transport *http.Transport
}

// New returns a client. It makes no connection yet. Errors name every problem
// of the configuration and wrap [ErrConfig].
func New(config Config) (*Client, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	c := &Client{transport: newTransport(config)}
	c.secret.Store(&config.SecretKey)
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
	c.secret.Store(&s)
	return nil
}

// Close closes the idle connections. A call in flight ends on its own; a call
// made after Close works and opens a new connection.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// CaptureRequest is one capture call.
type CaptureRequest struct {
	TradeID string
	Amount  capture.Amount
	// Description is required by the gateway.
	Description string
	// NotifyURL is where the gateway POSTs changes of state; "" for nowhere.
	NotifyURL string
	// RequestID is the caller's: unique among all captures of the account, the
	// same when the same attempt is sent again, at least 24 letters and digits.
	RequestID string
}

// Capture asks the gateway, once, to capture a trade (v3.Capture).
//
// Done means paid, with the trade, amount and currency of the request.
// Refused carries a code of the gateway's table, or 200 with the Order that
// was declined, failed, expired or cancelled. Not sent means that no byte of
// the request left this machine. All else is unknown, an accepted but unpaid
// capture (Code 200 and the Order) and an answer about another trade, amount
// or currency included. Code is set only where the HTTP status and the
// envelope's status agree with it; a code that is not believed is named in
// Why. A request without trade, amount or request_id is not sent.
func (c *Client) Capture(ctx context.Context, r CaptureRequest) capture.Answer {
	if r.TradeID == "" || r.Amount.IsZero() || r.RequestID == "" {
		return capture.Answer{Kind: capture.AnswerNotSent, Why: "the request lacks a trade_id, an amount or a request_id"}
	}
	return c.call(ctx, MethodCapture, r.data(), func(a capture.Answer, e envelope) capture.Answer {
		return judgeCapture(a, e, r)
	})
}

func (r CaptureRequest) data() map[string]string {
	return map[string]string{
		"trade_id":    r.TradeID,
		"amount":      r.Amount.Number(),
		"currency":    r.Amount.Currency(),
		"description": r.Description,
		"notify_url":  r.NotifyURL,
		"request_id":  r.RequestID,
	}
}

// Query asks the gateway what became of a trade (v3.QueryOrder).
//
// Done carries the Order, whatever its state; its Amount is zero where none
// could be read, which for a paid order makes the answer unknown instead.
// Refused, unknown and not sent are as in [Client.Capture].
func (c *Client) Query(ctx context.Context, tradeID string) capture.Answer {
	if tradeID == "" {
		return capture.Answer{Kind: capture.AnswerNotSent, Why: "the request lacks a trade_id"}
	}
	data := map[string]string{"trade_id": tradeID}
	return c.call(ctx, MethodQueryOrder, data, func(a capture.Answer, e envelope) capture.Answer {
		return judgeQuery(a, e, tradeID)
	})
}

type requestBody struct {
	User   string            `json:"user"`
	Sign   string            `json:"sign"`
	Method string            `json:"method"`
	Time   int64             `json:"time"`
	Data   map[string]string `json:"data"`
}

// call makes one signed POST and reads what came back.
func (c *Client) call(ctx context.Context, method string, data map[string]string, judge judge) capture.Answer {
	start := time.Now()
	secret := *c.secret.Load()
	body, sign, err := c.signed(secret, method, data)
	var answer capture.Answer
	if err != nil {
		answer = notSent(fmt.Errorf("writing the request as JSON: %w", err))
	} else {
		got := c.post(ctx, body)
		got.hideSign(sign)
		answer = got.answer(judge)
	}
	redact(&answer, string(secret), sign)
	answer.Latency = time.Since(start)
	return answer
}

// signed writes the body of a call, its signature in it.
func (c *Client) signed(secret Secret, method string, data map[string]string) (body []byte, sign string, err error) {
	// JSON would replace invalid UTF-8 after it was signed, and the gateway
	// would call it a signature error, which stops the whole worker.
	for name, value := range data {
		data[name] = strings.ToValidUTF8(value, "\uFFFD")
	}
	now := c.config.Clock().Unix()
	sign = Sign(secret, Params(c.config.User, method, now, data))
	body, err = json.Marshal(requestBody{c.config.User, sign, method, now, data})
	return body, sign, err
}

var errTimeout = errors.New("the call's time is over")

// post makes the one HTTP exchange of a call. It uses the transport itself:
// http.Client would add redirects and cookies.
func (c *Client) post(ctx context.Context, body []byte) *exchange {
	ctx, cancel := context.WithTimeoutCause(ctx, c.config.Timeout,
		fmt.Errorf("%w: no full answer within %s", errTimeout, c.config.Timeout))
	defer cancel()
	got := new(exchange)
	ctx = got.trace(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.config.URL, bytes.NewReader(body))
	if err != nil {
		got.err = fmt.Errorf("making the request: %w", err)
		return got
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.config.UserAgent)
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		got.fail(ctx, err)
		return got
	}
	got.read(ctx, resp)
	return got
}
