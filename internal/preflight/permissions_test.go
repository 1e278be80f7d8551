package preflight_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/controls"
	"github.com/capture-worker/capture-worker/internal/finding"
	"github.com/capture-worker/capture-worker/internal/jobstream"
	"github.com/capture-worker/capture-worker/internal/preflight"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
)

// all that a worker needs, spelled narrowly.
var narrow = strings.Fields(`captures.*.attempted captures.*.answered captures.*.queried captures.*.notified captures.*.captured captures.*.failed
	captures.*.parked captures.*.withdrawn $JS.API.CONSUMER.*.CAPTURE_WITHDRAWALS.* $JS.API.CONSUMER.CREATE.CAPTURE_WITHDRAWALS.*.>
	$JS.API.CONSUMER.MSG.NEXT.CAPTURE_WITHDRAWALS.* $JS.ACK.CAPTURE_WITHDRAWALS.capture-worker-withdrawals.*.*.*.*.* capture.dlq.* $JS.API.STREAM.INFO.* $JS.API.STREAM.CREATE.* $JS.API.CONSUMER.CREATE.CAPTURE_JOBS.capture-worker
	$JS.API.CONSUMER.INFO.CAPTURE_JOBS.capture-worker $JS.API.CONSUMER.LIST.CAPTURE_JOBS $JS.API.CONSUMER.MSG.NEXT.CAPTURE_JOBS.capture-worker
	$JS.ACK.CAPTURE_JOBS.capture-worker.*.*.*.*.* $JS.API.STREAM.MSG.GET.CAPTURES $JS.API.DIRECT.GET.CAPTURES $JS.API.INFO $SYS.REQ.USER.INFO
	$JS.API.STREAM.MSG.GET.CAPTURE_JOBS $JS.API.DIRECT.GET.CAPTURE_JOBS $JS.API.STREAM.MSG.GET.CAPTURE_CASES $JS.API.DIRECT.GET.CAPTURE_CASES
	$JS.API.DIRECT.GET.KV_CAPTURE_CONTROL.> $KV.CAPTURE_CONTROL.>`)

func without(subjects []string, gone ...string) (rest []string) {
	for _, s := range subjects {
		if !strings.Contains(" "+strings.Join(gone, " ")+" ", " "+s+" ") {
			rest = append(rest, s)
		}
	}
	return rest
}

func TestMissingPermissionsAreNamedBeforeTheyAreNeeded(t *testing.T) {
	inbox := &server.SubjectPermission{Allow: []string{"_INBOX.>"}}
	publish := func(allow []string, deny ...string) *server.Permissions {
		return &server.Permissions{Publish: &server.SubjectPermission{Allow: allow, Deny: deny}, Subscribe: inbox}
	}
	ack := "$JS.ACK.CAPTURE_JOBS.capture-worker.*.*.*.*.*"
	answering := publish(without(narrow, ack))
	answering.Response = &server.ResponsePermission{MaxMsgs: 1, Expires: time.Minute}
	for name, tt := range map[string]struct {
		as        *server.Permissions
		want, not string
	}{
		"no limits":          {nil, "ok: this user may publish and subscribe to all subjects", "may not"},
		"all, each by name":  {publish(narrow), "ok: this user may do what is needed for the worker", "may not"},
		"all, in one":        {publish([]string{">"}), "ok: this user may do what is needed for the worker", "may not"},
		"no dead letters":    {publish(without(narrow, "capture.dlq.*")), "error: this user may not publish to capture.dlq.>, which is needed to dead-letter", "captures"},
		"one reason missing": {publish(narrow, "capture.dlq.conflict"), "error: this user may not publish to capture.dlq.conflict, which", "bad_amount"},
		"one event missing":  {publish(without(narrow, "captures.*.parked")), "error: this user may not publish to captures.*.parked, which is needed to append events", "attempted"},
		"some trades denied": {publish(narrow, "captures.T1.>"), "warning: some subjects of captures.*.> are denied to this user; to publish them is needed to append events", "error"},
		"all denied":         {publish(nil, "$JS.ACK.>"), "error: this user may not publish to $JS.ACK.CAPTURE_JOBS.capture-worker.>, which is needed to ack jobs", "captures"},
		"may answer":         {answering, "warning: this user may answer a job only once, within 1m0s (allow_responses)", "error"},
		"may not create":     {publish(without(narrow, "$JS.API.STREAM.CREATE.*")), "error: this user may not publish to $JS.API.STREAM.CREATE.CAPTURE_DLQ, which is needed to create stream CAPTURE_DLQ: there is none yet", "CONSUMER"},
		"the question":       {publish(without(narrow, "$SYS.REQ.USER.INFO")), "warning: could not read the permissions of this user: NATS denies a required permission", "error"},
	} {
		t.Run(name, func(t *testing.T) {
			got := of(checkAs(t, startBroker(t, tt.as), preflight.ForWorker), "nats")
			if !strings.Contains(got, tt.want) || strings.Contains(got, tt.not) {
				t.Errorf("want %q and not %q: %s", tt.want, tt.not, got)
			}
		})
	}
}

// Who only looks needs less: what else is missing is no error.
func TestPermissionsOfPeople(t *testing.T) {
	looking := &server.Permissions{
		Publish: &server.SubjectPermission{Allow: strings.Fields(`$JS.API.INFO $SYS.REQ.USER.INFO $JS.API.STREAM.INFO.* $JS.API.STREAM.MSG.GET.*
			$JS.API.DIRECT.GET.> $JS.API.CONSUMER.*.CAPTURES.> $JS.API.CONSUMER.MSG.NEXT.CAPTURES.* $JS.API.CONSUMER.INFO.CAPTURE_JOBS.* $JS.API.CONSUMER.INFO.CAPTURE_WITHDRAWALS.*`)},
		Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
	}
	got := of(checkAs(t, startBroker(t, looking), preflight.ForOperator), "nats")
	for _, want := range []string{
		"error: this user may not publish to $JS.API.CONSUMER.CREATE.CAPTURE_DLQ.*, $JS.API.CONSUMER.CREATE.CAPTURE_DLQ.*.>, $JS.API.CONSUMER.DELETE.CAPTURE_DLQ.*, $JS.API.CONSUMER.MSG.NEXT.CAPTURE_DLQ.*, which is needed to walk stream CAPTURE_DLQ",
		"warning: this user may not publish to capture.jobs.released, which is needed to send jobs again (`parked release`)",
		"warning: this user may not publish to capture.dlq.republished.*, capture.dlq.dismissed.*,",
		"warning: this user may not publish to $JS.API.CONSUMER.PAUSE.CAPTURE_JOBS.capture-worker,",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing %q: %s", want, got)
		}
	}
	if strings.Count(got, "error: ") != 1 {
		t.Errorf("want one error: %s", got)
	}
}

// Who may create nothing gets an error only if something is missing.
func TestNothingNeedsToBeCreatedTwice(t *testing.T) {
	srv := startBroker(t, &server.Permissions{
		Publish: &server.SubjectPermission{Allow: without(narrow, "$JS.API.STREAM.CREATE.*",
			"$JS.API.CONSUMER.CREATE.CAPTURE_JOBS.capture-worker", "$JS.API.CONSUMER.LIST.CAPTURE_JOBS")},
		Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
	})
	nc, err := nats.Connect(srv.ClientURL(), nats.Timeout(processtest.Patience), nats.UserInfo("owner", "p"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(processtest.Patience))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.EnsureStream(t.Context(), js, ledger.StreamConfig{}); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.EnsureCases(t.Context(), js, ledger.StreamConfig{}); err != nil {
		t.Fatal(err)
	}
	if _, err := jobstream.Ensure(t.Context(), js, streams()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := controls.Ensure(t.Context(), js, ledger.DefaultStream, 1, nil); err != nil {
		t.Fatal(err)
	}
	if got := of(checkAs(t, srv, preflight.ForWorker), "nats"); !strings.Contains(got, "ok: this user may do what is needed for the worker") {
		t.Errorf("got %s", got)
	}
}

// A server that does not tell is no reason to warn of anything.
func TestServerThatDoesNotTellPermissions(t *testing.T) {
	srv := start(t, server.Options{NoSystemAccount: true})
	if got := of(checkAs(t, srv, preflight.ForWorker), "nats"); !strings.Contains(got, "ok: could not read the permissions of this user: the server does not report it") {
		t.Errorf("got %s", got)
	}
}

// startBroker starts a broker on which nothing is, with a user u of these
// permissions.
func startBroker(t *testing.T, may *server.Permissions) *server.Server {
	t.Helper()
	return start(t, server.Options{JetStream: true, StoreDir: t.TempDir(), Users: []*server.User{
		{Username: "u", Password: "p", Permissions: may}, {Username: "owner", Password: "p"},
	}})
}

func start(t *testing.T, o server.Options) *server.Server {
	t.Helper()
	o.Host, o.Port, o.NoSigs, o.NoLog = "127.0.0.1", processtest.FreePort(t), true, true
	srv, err := server.NewServer(&o)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(processtest.Patience) {
		t.Fatal("the server does not come up")
	}
	return srv
}

func streams() jobstream.Config {
	c := config.Defaults()
	jobs := c.Jobs
	return jobstream.Config{
		Withdrawals: jobstream.Withdrawals{Stream: c.Withdrawals.Stream, Subjects: c.Withdrawals.Subjects, Consumer: c.WithdrawalConsumer()},
		Jobs:        jobs.Stream, Subjects: jobs.Subjects, DLQ: jobs.DLQStream, Replicas: 1, AckWait: time.Minute, MaxAckPending: 1000,
		Consumers: []jobstream.ConsumerConfig{{Name: jobs.Consumer, Subjects: jobs.Subjects}},
	}
}

// checkAs checks a broker as its user u.
func checkAs(t *testing.T, srv *server.Server, role preflight.Role) []finding.Finding {
	t.Helper()
	c := checker()
	c.For, c.Streams = role, streams()
	c.Connect = func(context.Context) (*nats.Conn, jetstream.JetStream, error) {
		nc, err := nats.Connect(srv.ClientURL(), nats.UserInfo("u", "p"), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
		if err != nil {
			return nil, nil, err
		}
		js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(processtest.Patience))
		return nc, js, err
	}
	return c.Run(t.Context())
}
