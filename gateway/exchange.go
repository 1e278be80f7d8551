package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// maxAnswer is the size of the largest body that is read, in bytes.
const maxAnswer = 1 << 20

var errTooLarge = errors.New("answer over 1 MiB")

// requestTemplate returns a request with the parts that all calls share: the URL and
// the headers, which are not modified after this.
func requestTemplate(config Config) (*http.Request, error) {
	r, err := http.NewRequest(http.MethodPost, config.URL, nil)
	if err != nil {
		return nil, errors.New("the URL cannot be used for a request")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	// Compressed answers are not read: they could expand beyond maxAnswer.
	r.Header.Set("Accept-Encoding", "identity")
	r.Header.Set("User-Agent", config.UserAgent)
	return r, nil
}

// fill returns a request with a body that net/http can read again if a kept-alive
// connection was closed before a byte was written.
func fill(ctx context.Context, template *http.Request, body []byte) *http.Request {
	r := template.WithContext(ctx)
	r.ContentLength = int64(len(body))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	r.Body, _ = r.GetBody()
	return r
}

// exchange is the result of one HTTP request.
type exchange struct {
	// connected reports whether the request got a connection, so that some of it may
	// have been written. Dial, proxy CONNECT and TLS handshake carry none of it.
	connected  atomic.Bool
	status     int // 0 without a response
	retryAfter string
	encoding   string // the Content-Encoding, "" for none
	body       []byte
	err        error
}

// trace sets connected when the request gets its connection. The later hooks, such as
// WroteHeaders, are called after a write, and a failed write may have sent bytes.
func (x *exchange) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { x.connected.Store(true) },
	})
}

// fail sets the error of the exchange: the cause of ctx's end, if it has ended.
func (x *exchange) fail(ctx context.Context, err error) {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	x.err = err
}

// read reads the whole body, so that the connection can be reused.
func (x *exchange) read(ctx context.Context, resp *http.Response) {
	defer resp.Body.Close()
	x.status = resp.StatusCode
	x.retryAfter = resp.Header.Get("Retry-After")
	x.encoding = contentEncoding(resp.Header)
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		x.fail(ctx, err)
	case len(body) > maxAnswer:
		x.err = errTooLarge
	default:
		x.body = body
	}
}

// MaxRetryAfter is the longest Retry-After that is obeyed; longer ones are reduced to
// it, so that a wrong value cannot stop the worker for long.
const MaxRetryAfter = 5 * time.Minute

// wait returns how long the gateway asked not to be called, 0 if it did not. The header
// Retry-After, in seconds or as a date, is used with HTTP 429 and 503.
func (x *exchange) wait(now time.Time) time.Duration {
	if x.status != http.StatusTooManyRequests && x.status != http.StatusServiceUnavailable {
		return 0
	}
	return readRetryAfter(x.retryAfter, now)
}

func readRetryAfter(text string, now time.Time) time.Duration {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0
	}
	if strings.Trim(text, "0123456789") == "" {
		seconds, err := strconv.ParseUint(text, 10, 32)
		if err != nil || seconds > uint64(MaxRetryAfter/time.Second) {
			return MaxRetryAfter
		}
		return time.Duration(seconds) * time.Second
	}
	end, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(end.Sub(now), 0), MaxRetryAfter)
}

// contentEncoding returns the encodings of a body, "" for none or identity.
func contentEncoding(h http.Header) string {
	var packed []string
	for _, value := range h.Values("Content-Encoding") {
		for name := range strings.SplitSeq(value, ",") {
			name = strings.ToLower(strings.TrimSpace(name))
			if name != "" && name != "identity" {
				packed = append(packed, name)
			}
		}
	}
	return strings.Join(packed, ", ")
}
