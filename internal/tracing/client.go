package tracing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

const (
	tracesPath    = "/v1/traces"
	uploadTimeout = 10 * time.Second // of one request
	uploadTries   = 4
	uploadPause   = 500 * time.Millisecond // before the second try; doubles
	maxPause      = 5 * time.Second        // limit of Retry-After
	maxReply      = 64 << 10
)

// client is an otlptrace.Client that sends spans as OTLP in protobuf over HTTP.
// The client of the OpenTelemetry project would add gRPC to the binary.
type client struct {
	endpoint string
	headers  map[string]string // may contain secrets
	log      *slog.Logger
	http     *http.Client
	ctx      context.Context // ended by abort
	abort    context.CancelFunc
	stopped  chan struct{}
}

func newClient(endpoint string, headers map[string]string, log *slog.Logger) (*client, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("the collector's address must have the form http://collector:4318")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = tracesPath
	}
	transport := &http.Transport{Proxy: proxy, TLSHandshakeTimeout: uploadTimeout, IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 2}
	c := &client{endpoint: u.String(), headers: headers, log: log, stopped: make(chan struct{})}
	c.http = &http.Client{Transport: transport, Timeout: uploadTimeout, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // another server must not get the headers
	}}
	c.ctx, c.abort = context.WithCancel(context.Background())
	return c, nil
}

// proxy keeps the proxy address, which may contain a password, out of errors.
func proxy(r *http.Request) (*url.URL, error) {
	u, err := http.ProxyFromEnvironment(r)
	if err != nil {
		return nil, errors.New("the proxy address in the environment cannot be parsed")
	}
	return u, nil
}

// Start implements otlptrace.Client. Connections are made when needed.
func (c *client) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client. The SDK calls it last.
func (c *client) Stop(context.Context) error {
	c.http.CloseIdleConnections()
	close(c.stopped)
	return nil
}

// waitStopped reports whether Stop was called within a time.
func (c *client) waitStopped(within time.Duration) bool {
	select {
	case <-c.stopped:
		return true
	case <-time.After(within):
		return false
	}
}

// MarshalLog keeps the headers out of logs.
func (c *client) MarshalLog() any { return "OTLP over HTTP" }

// UploadTraces implements otlptrace.Client. It retries errors that may be
// transient. The request message has the same wire format as TracesData, whose
// package does not import gRPC.
func (c *client) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return fmt.Errorf("encoding spans: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	pause := uploadPause
	for try := 1; ; try++ {
		wait, err := c.post(ctx, body)
		if err == nil || wait < 0 || try == uploadTries {
			return err
		}
		select {
		case <-time.After(min(max(pause, wait), maxPause)):
			pause *= 2
		case <-ctx.Done():
			return err
		}
	}
}

// post makes one request. With an error, wait is the minimum time before the next
// try; negative: do not retry.
func (c *client) post(ctx context.Context, body []byte) (wait time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, bytes.NewReader(body))
	if err != nil {
		return -1, errors.New("sending spans: the request cannot be created")
	}
	for name, value := range c.headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	resp, err := c.http.Do(req)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err // without the address
		}
		return 0, fmt.Errorf("sending spans to the collector: %w", err)
	}
	defer resp.Body.Close()
	reply, _ := io.ReadAll(io.LimitReader(resp.Body, maxReply)) // an incomplete reply is ignored
	switch resp.StatusCode {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		if n := rejected(reply); n > 0 {
			c.log.Warn("spans rejected by the collector", "spans", n)
		}
		return 0, nil
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		seconds, _ := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 16) // 0 if missing
		wait = time.Duration(seconds) * time.Second
	default:
		wait = -1
	}
	// The body is left out: it may repeat our headers.
	return wait, fmt.Errorf("sending spans: the collector replied with HTTP %d", resp.StatusCode)
}

// rejected returns rejected_spans of the reply's partial_success. Each is field 1
// of its message.
func rejected(reply []byte) int64 {
	n := int64(0)
	eachField(reply, func(num protowire.Number, _ uint64, partial []byte) {
		if num != 1 {
			return
		}
		eachField(partial, func(num protowire.Number, value uint64, _ []byte) {
			if num == 1 {
				n = int64(value)
			}
		})
	})
	return n
}

// eachField visits the fields of a message up to the first malformed one.
func eachField(message []byte, visit func(num protowire.Number, value uint64, part []byte)) {
	for len(message) > 0 {
		num, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return
		}
		message = message[n:]
		var value uint64
		var part []byte
		switch kind {
		case protowire.VarintType:
			value, n = protowire.ConsumeVarint(message)
		case protowire.BytesType:
			part, n = protowire.ConsumeBytes(message)
		default:
			n = protowire.ConsumeFieldValue(num, kind, message)
		}
		if n < 0 {
			return
		}
		message = message[n:]
		visit(num, value, part)
	}
}
