package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/capture-worker/capture-worker/bench/peers/contest"
)

const maxAnswer = 1 << 20

// client posts captures with net/http, tuned: as many idle connections as calls
// in flight, HTTP/1.1, no compression, no cookies, no redirects, and no bound.
type client struct {
	url       string
	signer    *contest.Signer
	transport *http.Transport
	buffers   sync.Pool
}

// newClient returns a client for the account and gateway of the options.
func newClient(o contest.Options) *client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &client{
		url: o.Gateway, signer: contest.NewSigner(o.User, o.Secret),
		transport: &http.Transport{
			Protocols: protocols, DisableCompression: true,
			MaxIdleConns: o.Concurrency, MaxIdleConnsPerHost: o.Concurrency,
		},
		buffers: sync.Pool{New: func() any { return new(bytes.Buffer) }},
	}
}

// close closes the idle connections.
func (c *client) close() { c.transport.CloseIdleConnections() }

// capture posts a capture once. An error is everything but a paid answer.
func (c *client) capture(ctx context.Context, j contest.Job) error {
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

// paid believes what looks like a paid answer: who bets money on it reads the
// JSON and compares trade, amount and currency.
func paid(answer []byte) bool {
	return bytes.Contains(answer, []byte(`"state":"paid"`)) &&
		(bytes.Contains(answer, []byte(`"code":"200"`)) || bytes.Contains(answer, []byte(`"code":200`)))
}
