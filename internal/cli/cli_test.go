package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"go.uber.org/goleak"

	"github.com/capture-worker/capture-worker/internal/natsserver"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

// leakChecked looks for goroutines that outlive the tests.
type leakChecked struct{ *testing.M }

func (m leakChecked) Run() int {
	code := m.M.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"capture-worker": func() { os.Exit(Main("")) }})
}

// TestScripts runs the command lines of testdata, each script with a NATS
// server of its own. No command makes a server search the ledger.
func TestScripts(t *testing.T) {
	seen := &requests{}
	t.Cleanup(func() { seen.check(t) })
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			s, err := natsserver.Start(natsserver.Options{StoreDir: filepath.Join(env.WorkDir, ".nats")})
			if err != nil {
				return err
			}
			env.Defer(s.Shutdown)
			stop, err := seen.watch(s.URL(), filepath.Base(env.WorkDir))
			if err != nil {
				return err
			}
			env.Defer(stop)
			env.Setenv("GORACE", "atexit_sleep_ms=0") // or each command takes a second more
			env.Setenv("NATS_URL", s.URL())
			env.Setenv("CAPTURE_NATS_URL", s.URL())
			startSimulator(env)
			return setConsole(env)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"stored": stored, "published": published, "sim": tellSimulator, "ledger": fillLedger, "exits": exits, "until": until, "page": showsPage,
		},
	})
}

// stored writes what a stream holds into a file: stored STREAM FILE.
func stored(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: stored STREAM FILE")
	}
	nc, err := nats.Connect(ts.Getenv("NATS_URL"), nats.Timeout(processtest.Patience))
	ts.Check(err)
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(processtest.Patience))
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), processtest.Patience)
	defer cancel()
	stream, err := js.Stream(ctx, args[0])
	ts.Check(err)
	var lines []string
	last := stream.CachedInfo().State.LastSeq
	for seq := uint64(1); seq <= last; seq++ {
		m, err := stream.GetMsg(ctx, seq)
		ts.Check(err)
		lines = append(lines, fmt.Sprintf("%s %s\n", m.Subject, m.Data))
	}
	slices.Sort(lines) // rows are sent many at a time
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(strings.Join(lines, "")), 0o600))
}

// triedElsewhere are the commands whose examples run too long, or need more
// around them, than a script gives: their own tests run them.
var triedElsewhere = []string{"run", "demo", "show", "gateway-sim"}

// TestExamplesAreTried checks that every command has examples, and every example of
// the help is run by a script.
func TestExamplesAreTried(t *testing.T) {
	scripts, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range scripts {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	tidy := regexp.MustCompile(` (<.*|&)$`)
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Example == "" {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		for line := range strings.SplitSeq(cmd.Example, "\n") {
			if slices.Contains(triedElsewhere, cmd.Name()) {
				continue
			}
			line = tidy.ReplaceAllString(strings.TrimSpace(line), "")
			if strings.HasPrefix(line, "capture-worker") && !regexp.MustCompile(`(?m)^!? ?exec `+regexp.QuoteMeta(line)+`( &.*)?$`).MatchString(all.String()) {
				t.Errorf("no script runs the example %q", line)
			}
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(newRootCmd(&app{}))
}
