// Package examples tests the programs in docs/examples: as processes, against a real
// JetStream server, including a restart.
package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, processtest.Leftovers()) }

// patience limits waits whose duration is not tested.
const patience = processtest.Patience

// broker is a JetStream server with the streams of the program. Clients without a user
// have the permissions that docs/integration.md gives to other services.
type broker struct {
	t    *testing.T
	url  string
	js   jetstream.JetStream
	book *ledger.JetStream
}

func newBroker(t *testing.T) *broker {
	t.Helper()
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true,
		Users:      []*server.User{{Username: "owner", Password: "owner"}, {Username: "service", Permissions: permissions(t)}},
		NoAuthUser: "service",
	})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(processtest.Patience) {
		t.Fatal("the server does not come up")
	}
	nc, err := nats.Connect(srv.ClientURL(), nats.Timeout(processtest.Patience), nats.UserInfo("owner", "owner"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(processtest.Patience))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.EnsureStream(t.Context(), js, ledger.StreamConfig{}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "CAPTURE_JOBS", Subjects: []string{"capture.jobs.>"}, Duplicates: time.Minute,
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "CAPTURE_WITHDRAWALS", Subjects: []string{"capture.withdrawals.>"},
	}); err != nil {
		t.Fatal(err)
	}
	return &broker{t: t, url: srv.ClientURL(), js: js, book: ledger.NewJetStream(js, ledger.Options{})}
}

// permissions returns those of the page, for each of the examples' consumers.
func permissions(t *testing.T) *server.Permissions {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "integration.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(page), "```\npublish: ")
	list, _, found := strings.Cut(list, "```")
	publish, subscribe, both := strings.Cut(list, "subscribe: ")
	if !found || !both {
		t.Fatal("docs/integration.md lists no permissions")
	}
	allowed := []string{"capture.jobs.>", "capture.withdrawals.>"}
	for _, durable := range []string{"bookkeeping", "shop", "warehouse"} {
		allowed = append(allowed, strings.Fields(strings.ReplaceAll(publish, "bookkeeping", durable))...)
	}
	return &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: allowed},
		Subscribe: &server.SubjectPermission{Allow: strings.Fields(subscribe)},
	}
}

// program is an example with its command line.
type program struct {
	dir  string
	args []string
}

// goProgram builds an example of docs/examples/go.
func goProgram(t *testing.T, name string) program {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", file, "github.com/capture-worker/capture-worker/docs/examples/go/"+name).CombinedOutput()
	if err != nil {
		t.Fatalf("building %s: %v\n%s", name, err, out)
	}
	return program{args: []string{file}}
}

// command returns the program as a process that ends with the test.
func (p program) command(b *broker, args ...string) (*exec.Cmd, *processtest.Output) {
	all := append(p.args[:len(p.args):len(p.args)], args...)
	cmd := exec.CommandContext(b.t.Context(), all[0], all[1:]...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "NATS_URL="+b.url)
	cmd.WaitDelay = patience
	out := &processtest.Output{}
	cmd.Stdout, cmd.Stderr = out, out
	return cmd, out
}

// until runs the program until a condition holds, then stops it. It must exit with 0.
func (p program) until(b *broker, what string, holds func() bool, args ...string) string {
	b.t.Helper()
	cmd, out := p.command(b, args...)
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	inTime := processtest.Comes(patience, holds)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		b.t.Errorf("stopping it: %v", err)
	}
	if err := cmd.Wait(); err != nil || !inTime {
		b.t.Fatalf("waiting for %s: in time %t, then the program ended with %v and wrote:\n%s", what, inTime, err, out)
	}
	return out.String()
}
