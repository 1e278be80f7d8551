//go:build unix

package monitoring

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/internal/processtest"
)

// operations is the page with the permissions that workers and operators need.
const operations = "../../docs/operations.md"

// TestPermissionsAreEnough checks that with the permissions of the page, a worker
// starts without existing streams, captures, retries and dead-letters jobs,
// operators inspect and act, and the server refuses none of that.
func TestPermissionsAreEnough(t *testing.T) {
	t.Parallel()
	w := newGuardedWorld(t, "permitted")
	w.checkedAs("worker", 0, "this user may do what is needed for the worker", "create consumer") // no streams exist yet
	w.run(as("worker")...)
	w.jobs(shipped, "plain", 3)
	w.sim.post("/_sim/trades", `{"trade_id":"again","amount":"24.99","currency":"EUR","script":["error_after"]}`)
	w.send(shipped, plainJob("again"))
	w.sim.post("/_sim/trades", `{"trade_id":"unclear","amount":"24.99","currency":"EUR","script":["error_before","query_unknown_state"]}`)
	w.send(shipped, plainJob("unclear")) // parked
	for range 2 {
		w.send(shipped, job{TradeID: "bad", Amount: "abc", Currency: "EUR"})
	}
	w.waitCaptured(4)
	w.sim.post("/_sim/trades", `{"trade_id":"bad","amount":"24.99","currency":"EUR"}`) // trade of the corrected job
	w.worker.Says("msg=parked", 1, patience)
	processtest.WaitFor(t, patience, "two dead letters", func() bool {
		dlq, err := w.js.Stream(t.Context(), "CAPTURE_DLQ")
		return err == nil && dlq.CachedInfo().State.Msgs == 2
	})
	for _, c := range []struct{ command, says string }{
		{"check --for operator", "this user may do what is needed for the operator commands"},
		{"check --for operator", "0 errors"},
		{"show plain-0", "captured: 24.99 EUR"},
		{"show --order order-again", "captured: 24.99 EUR"},
		{"dlq list", "bad_amount"},
		{"dlq show 1", "abc"},
		{"dlq republish 1 --reason test --fixed " + fixed(t), "published"},
		{"lane list", "capture-worker"},
		{"lane pause all --for 1m --reason test", "paused until"},
		{"lane resume all --reason test", "resumed"},
		{"parked list", "unclear"},
		{"parked show unclear", "state_unclear"},
		{"parked release unclear --reason test --yes", "unclear"},
		{"reconcile --since 1h --all --audit --state " + filepath.Join(t.TempDir(), "state"), "audit: clean"},
		{"publish " + rows(t), "1 sent to CAPTURE_JOBS"},
		{"withdraw never --reason returned", "not captured, and will not be"},
		{"withdraw --order order-never --reason returned", "no trade is known yet"},
		{"acts list --since 1h", "1 job to capture.jobs.batch"},
	} {
		w.operator(c.command, c.says)
		if strings.HasPrefix(c.command, "lane resume") { // for the republished job
			w.waitCaptured(5)
		}
	}
	w.worker.Says("withdrawal waits for a trade of its order", 1, patience)
	w.checkedAs("worker", 0, "this user may do what is needed for the worker", "not publish")
	w.checkedAs("operator", 1, "this user may not publish to $JS.ACK.CAPTURE_JOBS.capture-worker.>", "subscribe to")
	w.worker.Signal(syscall.SIGTERM)
	w.worker.EndsWell(patience)
	refusedNothing(t, "the worker", w.worker.Out.String())
}

// A worker or command that lacks a permission ends with an error that names it,
// without waiting for its timeout.
func TestAMissingPermissionIsNamed(t *testing.T) {
	t.Parallel()
	w := newGuardedWorld(t, "publisher")
	for command, subject := range map[string]string{
		"run": "$JS.API.STREAM.INFO.CAPTURES", "check": "$JS.API.INFO", "show T1": "$JS.API.STREAM.MSG.GET.CAPTURES",
		"dlq list": "$JS.API.CONSUMER.CREATE.CAPTURE_DLQ", "publish " + rows(t): "$JS.API.STREAM.INFO.CAPTURE_JOBS",
	} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			code, out := processtest.Finish(t, patience, command, w.env(as("publisher")...), program, strings.Fields(command)...)
			last := out[strings.LastIndex("\n"+strings.TrimRight(out, "\n"), "\n"):]
			if command == "check" {
				last = out // check prints one line per finding
			}
			if code != 1 || !strings.Contains(last, "NATS denies a required permission") || !strings.Contains(last, subject) {
				t.Errorf("exit code %d, want 1 and that %s is not permitted: %s", code, subject, out)
			}
		})
	}
}

// newGuardedWorld returns a world whose broker has users. The user of the test has
// all permissions.
func newGuardedWorld(t *testing.T, name string) *world {
	t.Helper()
	w := &world{t: t, owner: t, name: name, sim: startSim(t), port: processtest.FreePort(t), admin: fmt.Sprintf("127.0.0.1:%d", processtest.FreePort(t))}
	w.key = filepath.Join(t.TempDir(), "key")
	w.setKey(secret)
	lists := permissionsOfThePage(t)
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: w.port, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoAuthUser: "owner",
		Users: []*server.User{
			{Username: "owner"}, {Username: "worker", Password: "pass", Permissions: lists[0]}, {Username: "operator", Password: "pass", Permissions: lists[1]},
			{Username: "publisher", Password: "pass", Permissions: &server.Permissions{
				Publish: &server.SubjectPermission{Allow: []string{"capture.jobs.>"}}, Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
			}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(processtest.Patience) {
		t.Fatal("the server did not start")
	}
	nc, err := nats.Connect(w.natsURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if w.js, err = jetstream.New(nc, jetstream.WithDefaultTimeout(processtest.Patience)); err != nil {
		t.Fatal(err)
	}
	return w
}

// permissionsOfThePage returns the permissions of the workers, of the operators and
// of the records, which internal/records tries.
func permissionsOfThePage(t *testing.T) (lists []*server.Permissions) {
	t.Helper()
	page, err := os.ReadFile(operations)
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```\npublish: ")
	if len(blocks) != 4 {
		t.Fatalf("%s has %d lists of permissions, want 3", operations, len(blocks)-1)
	}
	for _, block := range blocks[1:] {
		block, _, _ = strings.Cut(block, "```")
		publish, subscribe, _ := strings.Cut(block, "subscribe: ")
		lists = append(lists, &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: strings.Fields(publish)},
			Subscribe: &server.SubjectPermission{Allow: strings.Fields(subscribe)},
		})
	}
	return lists
}

// checkedAs runs check for a user and looks for one text and not another.
func (w *world) checkedAs(user string, want int, says, not string) {
	w.t.Helper()
	code, out := processtest.Finish(w.t, patience, "check", w.env(as(user)...), program, "check")
	if code != want || !strings.Contains(out, says) || strings.Contains(out, not) || strings.Contains(out, "Violation") {
		w.t.Errorf("check as %s: exit code %d, want %d, %q and not %q: %s", user, code, want, says, not, out)
	}
}

// as returns the settings for a user.
func as(user string) []string {
	return []string{"CAPTURE_NATS_USER=" + user, "CAPTURE_NATS_PASSWORD=pass"}
}

// operator runs a command of an operator that succeeds and prints a text.
func (w *world) operator(command, says string) {
	w.t.Helper()
	code, out := processtest.Finish(w.t, patience, command, w.env(as("operator")...), program, strings.Fields(command)...)
	refusedNothing(w.t, command, out)
	if code != 0 || !strings.Contains(out, says) {
		w.t.Errorf("%s: exit code %d, want 0 and %q: %s", command, code, says, out)
	}
}

func refusedNothing(t *testing.T, who, out string) {
	t.Helper()
	if strings.Contains(strings.ToLower(out), "permission") {
		t.Errorf("%s: permission denied: %s", who, out)
	}
}

// rows is a file with one job; fixed is one with the corrected job of a dead letter.
func rows(t *testing.T) string {
	t.Helper()
	return file(t, "rows.csv", "trade_id,amount,currency\nrow,24.99,EUR\n")
}

func fixed(t *testing.T) string {
	t.Helper()
	return file(t, "fixed.json", `{"trade_id":"bad","amount":"24.99","currency":"EUR"}`)
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
