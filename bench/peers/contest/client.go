package contest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// Tries is how often a call is made before the job goes back to its queue.
	Tries = 3
	// RetryPause is the time between two of them.
	RetryPause = 50 * time.Millisecond
	// Timeout bounds one call.
	Timeout = 30 * time.Second

	maxAnswer = 1 << 20
)

// Client posts captures with net/http, tuned as the ceiling is: as many idle
// connections as jobs in work, HTTP/1.1, no compression. It is safe for
// concurrent use.
type Client struct {
	url    string
	signer *Signer
	http   *http.Client
}

// NewClient returns a client for the account and gateway of the options.
func NewClient(o Options) *Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &Client{
		url: o.Gateway, signer: NewSigner(o.User, o.Secret),
		http: &http.Client{Timeout: Timeout, Transport: &http.Transport{
			Protocols: protocols, DisableCompression: true,
			MaxIdleConns: o.Concurrency, MaxIdleConnsPerHost: o.Concurrency,
		}},
	}
}

// Close closes the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// CaptureJSON reads a job from JSON and captures it, see [Client.Capture].
func (c *Client) CaptureJSON(ctx context.Context, payload []byte) error {
	var j Job
	if err := json.Unmarshal(payload, &j); err != nil {
		return fmt.Errorf("reading the job: %w", err)
	}
	return c.Capture(ctx, j)
}

// Capture posts a capture, [Tries] times at most, until the answer says paid.
func (c *Client) Capture(ctx context.Context, j Job) (err error) {
	for try := range Tries {
		if try > 0 {
			select {
			case <-time.After(RetryPause):
			case <-ctx.Done():
				return fmt.Errorf("waiting to try again after %w: %w", err, ctx.Err())
			}
		}
		if err = c.Post(ctx, j); err == nil {
			return nil
		}
	}
	return err
}

// Post posts a capture once. An error is everything but a paid answer.
func (c *Client) Post(ctx context.Context, j Job) error {
	body := c.signer.AppendCapture(make([]byte, 0, 512), j)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("making the request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("calling the gateway: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading the gateway's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK || !paid(answer) {
		return fmt.Errorf("not paid: HTTP %d %.200s", resp.StatusCode, answer)
	}
	return nil
}

// paid reads the two members that make an answer a success. The gateway sends
// the code as a string or a number, and the state in any letter case.
func paid(answer []byte) bool {
	var a struct {
		Code json.Number `json:"code"`
		Data struct {
			State string `json:"state"`
		} `json:"data"`
	}
	return json.Unmarshal(answer, &a) == nil && a.Code == "200" && strings.EqualFold(a.Data.State, "paid")
}
