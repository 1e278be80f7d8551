package gateway

import (
	"context"
	"net"

	"github.com/capture-worker/capture-worker/capture"
)

// CaptureBody and QueryBody write the body of a call.
func CaptureBody(c *Client, r CaptureRequest) []byte {
	return body(c, MethodCapture, r.question().data)
}

func QueryBody(c *Client, tradeID string) []byte {
	return body(c, MethodQueryOrder, []param{{"trade_id", tradeID}})
}

func body(c *Client, method string, data []param) []byte {
	b, _ := request{c.config.User, method, c.config.Clock().Unix(), data}.write(c.key.Load())
	return b
}

// DialWith lets the client's connections be made in another way. It must be
// called before the first call.
func DialWith(c *Client, dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	c.transport.Load().DialContext = dial
}

// ReadCapture and ReadQuery read answer without a connection, for fuzzing
// and measuring.

func ReadCapture(status int, body []byte, r CaptureRequest) capture.Answer {
	return read(status, body, r.question())
}

func ReadQuery(status int, body []byte, tradeID string) capture.Answer {
	return read(status, body, queryOf(tradeID))
}

const (
	exampleSecret = "example-secret-key"
	exampleSign   = "3b0e9b056ff8553a9e9f9976df7901685e6ca3cf5795f72f01b61107a5532f97"
)

func read(status int, body []byte, q *question) capture.Answer {
	x := &exchange{status: status, body: body}
	x.connected.Store(true)
	x.hideSign(exampleSign)
	a := x.answer(q)
	redact(&a, exampleSecret, exampleSign)
	return a
}

func HasHexRun(s string, n int) bool { return hasHexRun(s, n) }

// SignedMembers are the members of an object as the plain rendering signs them,
// nil if it is none.
func SignedMembers(b []byte) map[string]string {
	var m members
	if m.read(b) != nil {
		return nil
	}
	params := map[string]string{}
	for _, s := range renderingNamed("plain").sign(m.unique()) {
		params[s.name] = s.text
	}
	return params
}

func renderingNamed(name string) rendering {
	for _, r := range renderings {
		if r.name == name {
			return r
		}
	}
	panic("no rendering " + name)
}

// Rendered is the string that a rendering signs of an object.
func Rendered(name string, b []byte) string {
	var m members
	if err := m.read(b); err != nil {
		panic(err)
	}
	return string(renderingNamed(name).sign(m.unique()).appendTo(nil))
}
