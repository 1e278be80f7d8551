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

// Redact returns a server address, or a list of them, without user, password
// and token. What cannot be parsed is not shown at all.
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

// parse reads one address as nats.go does: the scheme may be missing.
func parse(one string) (*url.URL, error) {
	one = strings.TrimSpace(one)
	if !strings.Contains(one, "://") {
		one = "nats://" + one
	}
	return url.Parse(one)
}

// checkURL refuses what nats.go would refuse with the password in its error.
func checkURL(urls string) error {
	for one := range strings.SplitSeq(urls, ",") {
		u, err := parse(one)
		if err != nil || u.Hostname() == "" {
			return fmt.Errorf("connecting to NATS: the address is not like nats://host:4222 (%d bytes, not shown: it may hold a password)", len(one))
		}
	}
	return nil
}

// hideURL drops the text of errors that repeat the address, password included.
func hideURL(err error) error {
	var bad *url.Error
	if errors.As(err, &bad) {
		return fmt.Errorf("the address cannot be read: %w", bad.Err)
	}
	return err
}

// isNetwork tells errors of reaching the server from errors of the settings.
func isNetwork(err error) bool {
	var op net.Error
	return errors.As(err, &op) || errors.Is(err, nats.ErrNoServers) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrStaleConnection) ||
		errors.Is(err, nats.ErrDisconnected) || errors.Is(err, nats.ErrMaxConnectionsExceeded)
}

// Server names the server of a connection for people and logs: without user,
// password and token. (nats.go hides the password, but a token is a user to it.)
// While there is no server it names them all.
func Server(nc *nats.Conn) string {
	if url := nc.ConnectedUrl(); url != "" {
		return Redact(url)
	}
	return "the NATS servers"
}
