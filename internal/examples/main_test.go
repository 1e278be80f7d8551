// Package examples runs the programs of docs/examples as their readers would:
// as processes, against a real JetStream server, stopped and started again.
package examples

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/capture-worker/capture-worker/internal/natsserver"
	"github.com/capture-worker/capture-worker/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is the bound of waits whose length is not what a test is about.
const patience = 45 * time.Second

// broker is a JetStream server with the streams of the program.
type broker struct {
	t    *testing.T
	url  string
	js   jetstream.JetStream
	book *ledger.JetStream
}

func newBroker(t *testing.T) *broker {
	t.Helper()
	server, err := natsserver.Start(natsserver.Options{StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	nc, err := nats.Connect(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
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
	return &broker{t: t, url: server.URL(), js: js, book: ledger.NewJetStream(js, ledger.Options{})}
}

// program is an example, ready to run with more arguments.
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

// command is the program as a process that does not outlive the test.
func (p program) command(b *broker, args ...string) (*exec.Cmd, *output) {
	all := append(p.args[:len(p.args):len(p.args)], args...)
	cmd := exec.CommandContext(b.t.Context(), all[0], all[1:]...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "NATS_URL="+b.url)
	cmd.WaitDelay = patience
	out := &output{}
	cmd.Stdout, cmd.Stderr = out, out
	return cmd, out
}

// until runs the program until a condition holds, and stops it. It must end
// well.
func (p program) until(b *broker, what string, holds func() bool, args ...string) string {
	b.t.Helper()
	cmd, out := p.command(b, args...)
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	deadline := time.Now().Add(patience)
	for !holds() && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	inTime := holds()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		b.t.Errorf("stopping it: %v", err)
	}
	if err := cmd.Wait(); err != nil || !inTime {
		b.t.Fatalf("waiting for %s: in time %t, then the program ended with %v and wrote:\n%s", what, inTime, err, out)
	}
	return out.String()
}

// output keeps what a process writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
