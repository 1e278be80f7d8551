//go:build unix

package records

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/acts"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
)

// permitted reads the permissions that docs/operations.md lists for the records.
func permitted(t *testing.T) (publish, subscribe []string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(page), "A user for `capture-worker records`")
	_, after, block := strings.Cut(after, "```\n")
	list, _, end := strings.Cut(after, "```")
	if !found || !block || !end {
		t.Fatal("docs/operations.md lists no permissions for the records")
	}
	into := &publish
	for _, word := range strings.Fields(list) {
		switch word {
		case "publish:":
		case "subscribe:":
			into = &subscribe
		default:
			*into = append(*into, word)
		}
	}
	return publish, subscribe
}

// The permissions of the page are enough: to begin, to continue and to rebuild.
func TestPermissionsOfThePageAreEnough(t *testing.T) {
	processtest.Long(t)
	t.Parallel()
	publish, subscribe := permitted(t)
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
		Users: []*server.User{
			{Username: "owner", Password: "p"},
			{Username: "records", Password: "p", Permissions: &server.Permissions{
				Publish: &server.SubjectPermission{Allow: publish}, Subscribe: &server.SubjectPermission{Allow: subscribe},
			}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(time.Minute) {
		t.Fatal("the server does not come up")
	}
	connect := func(user string, refused func(error)) jetstream.JetStream {
		nc, err := nats.Connect(srv.ClientURL(), nats.UserInfo(user, "p"),
			nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused(err) }))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		return js
	}
	b := &broker{js: connect("owner", func(error) {}), seqs: map[string]uint64{}}
	b.makeStreams(t)
	b.ledger = ledger.NewJetStream(b.js, ledger.Options{})
	events := randomEvents(20, 5, 60)
	b.append(t, events[:30])
	b.deadLetter(t, "capture.dlq.not_json", "x")
	b.act(t, acts.Act{Act: acts.Pause, By: "bob"}, "CAPTURES")
	s := openStore(t, sqlite(t))
	limited := &broker{js: connect("records", func(err error) { t.Errorf("refused: %v", err) })}
	for _, upTo := range []uint64{30, 60} {
		r := limited.follow(t, s)
		reaches(t, s, SourceLedger, upTo)
		reaches(t, s, SourceDeadLetters, 1)
		reaches(t, s, SourceActs, 1)
		r.ends(t)
		if upTo == 30 {
			b.append(t, events[30:])
		}
	}
	decoder, err := capture.NewDecoder(capture.Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	f := NewFollower(Config{JS: limited.js, Store: s, Ledger: "CAPTURES", DLQ: "CAPTURE_DLQ", Consumer: "capture-records", Decoder: decoder, Filled: true})
	if err := f.Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.holds(t, s)
}
