package natsconn_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/capture-worker/capture-worker/internal/natsconn"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

// permitting returns a server with one user, and a function that sets the user's
// permissions while it runs.
func permitting(t *testing.T) (url string, permit func(*server.Permissions)) {
	t.Helper()
	options := func(port int, p *server.Permissions) *server.Options {
		return &server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, Users: []*server.User{{Username: "w", Password: "w", Permissions: p}}}
	}
	s := serve(t, options(-1, nil))
	return "nats://w:w@" + s.Addr().String(), func(p *server.Permissions) {
		t.Helper()
		if err := s.ReloadOptions(options(-1, p)); err != nil {
			t.Fatal(err)
		}
	}
}

// logged returns a connection and its log.
func logged(t *testing.T, url string) (*natsconn.Conn, *processtest.Output) {
	t.Helper()
	var out processtest.Output
	nc, err := natsconn.Connect(t.Context(), natsconn.Config{URL: url}, slog.New(slog.NewTextHandler(&out, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc, &out
}

// TestRestoredPermission checks a subscription that the server drops when it
// revokes a permission and does not restore when the permission is granted again.
func TestRestoredPermission(t *testing.T) {
	url, permit := permitting(t)
	nc, out := logged(t, url)
	inbox := nc.NewInbox()
	answers, err := nc.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	answered := func() bool {
		if nc.Publish(inbox, nil) != nil {
			return false
		}
		_, err := answers.NextMsg(50 * time.Millisecond)
		return err == nil
	}
	eventually(t, "a message", answered)
	permit(&server.Permissions{Subscribe: &server.SubjectPermission{Deny: []string{"_INBOX.>"}}})
	eventually(t, "the permission error", func() bool { return strings.Contains(out.String(), "Permissions Violation for Subscription") })
	permit(nil)
	processtest.WaitFor(t, processtest.Patience, "a message after the permission was restored", answered)
}

func TestErrorsOfOneKindAreLoggedOnce(t *testing.T) {
	url, permit := permitting(t)
	nc, out := logged(t, url)
	permit(&server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"captures.>"}}})
	for n := range 50 {
		if err := nc.Publish(fmt.Sprintf("captures.t%d.attempted", n), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the last error", func() bool { return nc.LastError() != nil && strings.Contains(nc.LastError().Error(), "t49") })
	done := make(chan struct{}) // handlers run sequentially
	nc.SetErrorHandler(func(*nats.Conn, *nats.Subscription, error) { close(done) })
	if err := nc.Publish("captures.last", nil); err != nil {
		t.Fatal(err)
	}
	<-done
	if n := strings.Count(out.String(), "NATS reported an error"); n != 1 {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
}
