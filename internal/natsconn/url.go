package natsconn

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"

	"github.com/nats-io/nats.go"
)

// Redact returns a server address, or a list of them, without user, password and
// token. An address that cannot be parsed is replaced as a whole.
func Redact(urls string) string {
	var shown []string
	for one := range strings.SplitSeq(urls, ",") {
		u, err := parse(one)
		if err != nil {
			shown = append(shown, "(unreadable address)")
			continue
		}
		u.User = nil
		shown = append(shown, u.String())
	}
	return strings.Join(shown, ",")
}

// parse parses one address as nats.go does: the scheme may be missing.
func parse(one string) (*url.URL, error) {
	one = strings.TrimSpace(one)
	if !strings.Contains(one, "://") {
		one = "nats://" + one
	}
	return url.Parse(one)
}

// checkURL rejects the addresses for which the error of nats.go would show the
// password.
func checkURL(urls string) error {
	for one := range strings.SplitSeq(urls, ",") {
		u, err := parse(one)
		if err != nil || u.Hostname() == "" {
			return fmt.Errorf("connecting to NATS: the address does not have the form nats://host:4222 (%d bytes, not shown because it may contain a password)", len(one))
		}
	}
	return nil
}

// hideURL removes the address, which may contain a password, from an error.
func hideURL(err error) error {
	var bad *url.Error
	if errors.As(err, &bad) {
		return fmt.Errorf("the address cannot be parsed: %w", bad.Err)
	}
	return err
}

// isNetwork reports whether an error is about reaching the server, as opposed to
// an error in the settings.
func isNetwork(err error) bool {
	var op net.Error
	return errors.As(err, &op) || errors.Is(err, nats.ErrNoServers) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrStaleConnection) ||
		errors.Is(err, nats.ErrDisconnected) || errors.Is(err, nats.ErrMaxConnectionsExceeded)
}

// Server returns the address of the connected server for logs and messages:
// without user, password and token. (nats.go hides only the password, and treats
// a token as a user.) While not connected it returns a general term.
func Server(nc *nats.Conn) string {
	if url := nc.ConnectedUrl(); url != "" {
		return Redact(url)
	}
	return "the NATS servers"
}
