package harness

import (
	"fmt"
	"strconv"

	"github.com/capture-worker/capture-worker/bench/internal/fixture"
)

// Names of the candidates that others are compared with.
const (
	Ceiling       = "ceiling"
	Naive         = "naive"
	NaiveLedger   = "naive-ledger" // that also writes the two events of each capture
	CaptureWorker = "capture-worker"
)

// queue is where a candidate takes its jobs from.
type queue int

const (
	onNATS   queue = iota // the jobs stream
	onNone                // it makes them up
	onItself              // a queue of its own, which it fills with -fill
)

// candidate is a program that can take part.
type candidate struct {
	name  string
	queue queue
	build func(b builder) (string, error)
	path  string // of the program, once built
	// module is the library that it shows, whose version is reported.
	module string
	args   []string
	// consumer is appended to the name of the durable consumer for the name of
	// the one that it uses.
	consumer string
	// env, if set, returns the program's settings as environment, instead of flags.
	env func(Setting) []string
	// server keeps its queue; nil if that is the NATS server.
	server *server
}

// Setting is what a candidate is to do.
type Setting struct {
	Concurrency int
	Jobs        int
	NATS        string
	Gateway     string
}

// command says how to start the candidate.
func (c candidate) command(s Setting, dir string) fixture.Command {
	run := fixture.Command{Name: c.name, Path: c.path, Dir: dir}
	if c.env != nil {
		run.Args, run.Env = c.args, c.env(s)
		return run
	}
	q := fixture.DefaultQueue()
	run.Args = append([]string{
		"-gateway", s.Gateway, "-user", fixture.User, "-secret", fixture.Secret, "-concurrency", strconv.Itoa(s.Concurrency),
		"-nats", s.NATS, "-stream", q.Stream, "-consumer", q.Consumer,
	}, c.args...)
	first, last := window(s.Jobs)
	run.Args = append(run.Args, "-from", strconv.Itoa(int(first)), "-to", strconv.Itoa(int(last)))
	if c.server != nil {
		run.Args = append(run.Args, c.server.flag, c.server.address)
	}
	return run
}

// workerEnv is capture-worker as users run it: its own process, full ledger,
// metrics on.
func workerEnv(extra []string) func(Setting) []string {
	return func(s Setting) []string {
		return append([]string{
			"CAPTURE_NATS_URL=" + s.NATS, "CAPTURE_GATEWAY_URL=" + s.Gateway,
			"CAPTURE_GATEWAY_ALLOW_EMPTY_NOTIFY_URL=true", "CAPTURE_GATEWAY_USER=" + fixture.User, "CAPTURE_GATEWAY_SECRET_KEY=" + fixture.Secret,
			"CAPTURE_WORKER_CONCURRENCY=" + strconv.Itoa(s.Concurrency),
			"CAPTURE_ADMIN_LISTEN=127.0.0.1:0",
		}, extra...)
	}
}

// builder knows where the sources are and where programs go.
type builder struct {
	root    string // of capture-worker
	into    string
	compile func(module, pkg, name string) (string, error)
}

func (b builder) bench(pkg string) (string, error) { return b.compile(b.root+"/bench", "./"+pkg, pkg) }

// known lists the candidates that the sources have, the references first.
func known(workerExtra []string) []candidate {
	list := []candidate{
		{name: Ceiling, queue: onNone, build: func(b builder) (string, error) { return b.bench("ceiling") }},
		{name: Naive, build: func(b builder) (string, error) { return b.bench("naive") }},
		{name: NaiveLedger, args: []string{"-ledger", fixture.DefaultQueue().Ledger}, build: func(b builder) (string, error) { return b.bench("naive") }},
		{name: CaptureWorker, args: []string{"run"}, env: workerEnv(workerExtra),
			build: func(b builder) (string, error) { return b.into + "/" + CaptureWorker, nil }},
	}
	return append(list, peers()...)
}

// alternative is another build of capture-worker that takes part beside it, to
// tell what a change has brought.
func alternative(label, path string, workerExtra []string) candidate {
	return candidate{
		name: fmt.Sprintf("%s@%s", CaptureWorker, label), args: []string{"run"}, env: workerEnv(workerExtra),
		build: func(builder) (string, error) { return path, nil },
	}
}
