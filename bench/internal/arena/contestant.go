package arena

import (
	"fmt"
	"strconv"

	"github.com/capture-worker/capture-worker/bench/internal/rig"
)

// Names of the contestants that others are compared with.
const (
	Ceiling       = "ceiling"
	Naive         = "naive"
	NaiveLedger   = "naive-ledger" // that also writes the two events of each capture
	CaptureWorker = "capture-worker"
)

// queue is where a contestant takes its jobs from.
type queue int

const (
	onNATS   queue = iota // the jobs stream
	onNone                // it makes them up
	onItself              // a queue of its own, which it fills with -fill
)

// contestant is a program that can take part.
type contestant struct {
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

// Setting is what a contestant is to do.
type Setting struct {
	Concurrency int
	Jobs        int
	NATS        string
	Gateway     string
}

// command says how to start the contestant.
func (c contestant) command(s Setting, dir string) rig.Command {
	run := rig.Command{Name: c.name, Path: c.path, Dir: dir}
	if c.env != nil {
		run.Args, run.Env = c.args, c.env(s)
		return run
	}
	q := rig.DefaultQueue()
	run.Args = append([]string{
		"-gateway", s.Gateway, "-user", rig.User, "-secret", rig.Secret, "-concurrency", strconv.Itoa(s.Concurrency),
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
			"CAPTURE_GATEWAY_ALLOW_EMPTY_NOTIFY_URL=true", "CAPTURE_GATEWAY_USER=" + rig.User, "CAPTURE_GATEWAY_SECRET_KEY=" + rig.Secret,
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

// known lists the contestants that the sources have, the references first.
func known(workerExtra []string) []contestant {
	list := []contestant{
		{name: Ceiling, queue: onNone, build: func(b builder) (string, error) { return b.bench("ceiling") }},
		{name: Naive, build: func(b builder) (string, error) { return b.bench("naive") }},
		{name: NaiveLedger, args: []string{"-ledger", rig.DefaultQueue().Ledger}, build: func(b builder) (string, error) { return b.bench("naive") }},
		{name: CaptureWorker, args: []string{"run"}, env: workerEnv(workerExtra),
			build: func(b builder) (string, error) { return b.into + "/" + CaptureWorker, nil }},
	}
	return append(list, peers()...)
}

// alternative is another build of capture-worker that takes part beside it, to
// tell what a change has brought.
func alternative(label, path string, workerExtra []string) contestant {
	return contestant{
		name: fmt.Sprintf("%s@%s", CaptureWorker, label), args: []string{"run"}, env: workerEnv(workerExtra),
		build: func(builder) (string, error) { return path, nil },
	}
}
