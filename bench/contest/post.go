package contest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	tries      = 3
	retryPause = 50 * time.Millisecond
	maxAnswer  = 1 << 20
)

// Client posts captures with net/http, tuned: as many idle connections as
// calls in flight, HTTP/1.1, no compression, no cookies and no redirects.
type Client struct {
	url       string
	signer    *Signer
	transport *http.Transport
	buffers   sync.Pool
}

// NewClient returns a client for the account and gateway of the options.
func NewClient(o Options) *Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &Client{
		url: o.Gateway, signer: NewSigner(o.User, o.Secret),
		transport: &http.Transport{
			Protocols: protocols, DisableCompression: true,
			MaxIdleConns: o.Concurrency, MaxIdleConnsPerHost: o.Concurrency,
		},
		buffers: sync.Pool{New: func() any { return new(bytes.Buffer) }},
	}
}

// Close closes the idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Capture posts a capture once. An error is everything but a paid answer.
func (c *Client) Capture(ctx context.Context, j Job) error {
	body := c.signer.AppendCapture(make([]byte, 0, 512), j)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer := c.buffers.Get().(*bytes.Buffer)
	defer c.buffers.Put(answer)
	answer.Reset()
	if _, err := answer.ReadFrom(io.LimitReader(resp.Body, maxAnswer)); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || !paid(answer.Bytes()) {
		return fmt.Errorf("not paid: HTTP %d %.200s", resp.StatusCode, answer.Bytes())
	}
	return nil
}

// CaptureRetrying is Capture, three times at most.
func (c *Client) CaptureRetrying(ctx context.Context, j Job) (err error) {
	for try := range tries {
		if try > 0 {
			select {
			case <-time.After(retryPause):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err = c.Capture(ctx, j); err == nil {
			return nil
		}
	}
	return err
}

// paid believes what looks like a paid answer: who bets money on it reads the
// JSON and compares trade, amount and currency.
func paid(answer []byte) bool {
	return bytes.Contains(answer, []byte(`"state":"paid"`)) &&
		(bytes.Contains(answer, []byte(`"code":"200"`)) || bytes.Contains(answer, []byte(`"code":200`)))
}
