package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// maxAnswer is the largest body that is read.
const maxAnswer = 1 << 20

var errTooLarge = errors.New("answer over 1 MiB")

// requestTemplate is made once: reading the URL and writing the headers for each
// call would give the same every time. Nobody changes a header or a URL of a
// request that is sent, so all may share them.
func requestTemplate(config Config) (*http.Request, error) {
	r, err := http.NewRequest(http.MethodPost, config.URL, nil)
	if err != nil {
		return nil, errors.New("no request can be made of the URL")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	// A compressed answer is not read, so that none can grow beyond maxAnswer.
	r.Header.Set("Accept-Encoding", "identity")
	r.Header.Set("User-Agent", config.UserAgent)
	return r, nil
}

// fill makes a request with a body that net/http can take up again where a kept
// connection was gone before a byte was written.
func fill(ctx context.Context, template *http.Request, body []byte) *http.Request {
	r := template.WithContext(ctx)
	r.ContentLength = int64(len(body))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	r.Body, _ = r.GetBody()
	return r
}

// exchange is what one HTTP request came to.
type exchange struct {
	// connected: a connection was handed to the request, so that some of it
	// may have been written. Before that moment nothing can have been: dial,
	// proxy CONNECT and TLS handshake carry none of it.
	connected  atomic.Bool
	status     int // 0 where no response came
	retryAfter string
	encoding   string // the Content-Encoding, "" if the body is as it was written
	body       []byte
	err        error
}

// trace notes the moment the request gets its connection.
//
// WroteHeaders and the like come too late: net/http reports them after the
// write, and a write that failed may have carried bytes.
func (x *exchange) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { x.connected.Store(true) },
	})
}

// fail keeps why the exchange broke off. Where our own time limit or the
// caller's cancelling broke it, that is the better reason.
func (x *exchange) fail(ctx context.Context, err error) {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	x.err = err
}

// read takes the whole body, so that the connection can be used again.
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
