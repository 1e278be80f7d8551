package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
	"github.com/capture-worker/capture-worker/internal/freeport"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
)

// startSimulator gives a script a gateway of its own, at $SIM. The settings
// that lead to it are set by the scripts that want it.
func startSimulator(env *testscript.Env) {
	sim := gatewaytest.New(gatewaytest.Options{User: simUser, Secret: simSecret})
	server := httptest.NewServer(sim)
	env.Defer(func() { server.Close(); sim.Close() })
	env.Setenv("SIM", server.URL)
	env.Setenv("SIM_USER", simUser)
	env.Setenv("SIM_SECRET", simSecret)
}

// tellSimulator posts a file to the admin path: sim PATH FILE.
func tellSimulator(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sim PATH FILE")
	}
	client := &http.Client{Timeout: processtest.Patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Post(ts.Getenv("SIM")+"/_sim/"+args[0], "application/json", strings.NewReader(ts.ReadFile(args[1])))
	ts.Check(err)
	resp.Body.Close()
	if resp.StatusCode >= 300 {
		ts.Fatalf("the simulator answers %s", resp.Status)
	}
}

// setConsole gives a script a free address for its console, at $CONSOLE.
func setConsole(env *testscript.Env) error {
	ports, err := freeport.Find(1)
	if err != nil {
		return err
	}
	env.Setenv("CONSOLE", "127.0.0.1:"+strconv.Itoa(ports[0]))
	return nil
}

// showsPage waits until the console answers a path with a code, and with a page
// that holds a text: page CODE PATH TEXT.
func showsPage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: page CODE PATH TEXT")
	}
	client := &http.Client{Timeout: processtest.Patience, Transport: &http.Transport{DisableKeepAlives: true}}
	var last string
	if !processtest.Comes(processtest.Patience, func() bool {
		resp, err := client.Get("http://" + ts.Getenv("CONSOLE") + args[1])
		if err != nil {
			last = err.Error()
			return false
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		last = resp.Status + " " + string(body)
		return err == nil && strconv.Itoa(resp.StatusCode) == args[0] && strings.Contains(string(body), args[2])
	}) {
		ts.Fatalf("%s does not answer %s with %q: %s", args[1], args[0], args[2], last)
	}
}

// scriptBroker connects to the script's server.
func scriptBroker(ts *testscript.TestScript) (js jetstream.JetStream, done func()) {
	nc, err := nats.Connect(ts.Getenv("NATS_URL"), nats.Timeout(processtest.Patience))
	ts.Check(err)
	js, err = jetstream.New(nc, jetstream.WithDefaultTimeout(processtest.Patience))
	ts.Check(err)
	return js, nc.Close
}

// fillLedger appends the events of a file, one a line: ledger FILE.
func fillLedger(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ledger FILE")
	}
	js, done := scriptBroker(ts)
	defer done()
	ctx, cancel := context.WithTimeout(context.Background(), processtest.Patience)
	defer cancel()
	_, err := ledger.EnsureStream(ctx, js, ledger.StreamConfig{})
	ts.Check(err)
	_, err = ledger.EnsureCases(ctx, js, ledger.StreamConfig{})
	ts.Check(err)
	info, _, err := ledger.InspectCases(ctx, js, ledger.StreamConfig{})
	ts.Check(err)
	cases := info.State.Msgs
	book := ledger.NewJetStream(js, ledger.Options{})
	after := map[string]uint64{}
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		var e capture.Event
		ts.Check(json.Unmarshal([]byte(line), &e))
		after[e.TradeID], err = book.Append(ctx, e, after[e.TradeID])
		ts.Check(err)
		if slices.Contains(ledger.CaseTypes(), e.Type) {
			cases++
		}
	}
	if !processtest.Comes(processtest.Patience, func() bool {
		info, _, err := ledger.InspectCases(ctx, js, ledger.StreamConfig{})
		return err == nil && info.State.Msgs >= cases
	}) {
		ts.Fatalf("the cases are not copied from the ledger")
	}
}

// published sends the lines of a file as they are: published SUBJECT FILE.
func published(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: published SUBJECT FILE")
	}
	js, done := scriptBroker(ts)
	defer done()
	ctx, cancel := context.WithTimeout(context.Background(), processtest.Patience)
	defer cancel()
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		_, err := js.Publish(ctx, args[0], []byte(strings.TrimSpace(line)))
		ts.Check(err)
	}
}

// exits runs a program and holds its exit code: exits CODE PROGRAM ARGS...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		ended, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = ended.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// until repeats a program until its output holds a text: until TEXT PROGRAM
// ARGS...
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until TEXT PROGRAM ARGS...")
	}
	var last error
	if !processtest.Comes(processtest.Patience, func() bool {
		last = ts.Exec(args[1], args[2:]...)
		return strings.Contains(ts.ReadFile("stdout"), args[0])
	}) {
		ts.Fatalf("it never says %q: %v", args[0], last)
	}
}
