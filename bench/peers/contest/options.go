package contest

import (
	"flag"
	"fmt"
)

// Options are the flags that every candidate takes.
type Options struct {
	NATS        string // URL of the server
	Stream      string // of the jobs
	Consumer    string // durable, with explicit acks; it exists
	Gateway     string // URL of the endpoint
	User        string
	Secret      string
	Concurrency int // jobs in work at once, at least 1

	// Of the jobs done, in the order in which they ended, the latencies of
	// those from From to below To are summed up: how a run begins and ends is
	// not what is asked. To 0 is no end.
	From, To int
}

// Parse reads the command line; the caller may have defined flags of its own
// before. It ends the program where the flags are wrong.
func Parse() Options {
	var o Options
	flag.StringVar(&o.NATS, "nats", "nats://127.0.0.1:4222", "`URL` of the NATS server")
	flag.StringVar(&o.Stream, "stream", "CAPTURE_JOBS", "stream of the jobs")
	flag.StringVar(&o.Consumer, "consumer", "capture-worker", "durable consumer of the jobs, which exists")
	flag.StringVar(&o.Gateway, "gateway", "http://127.0.0.1:8700/Payments", "`URL` of the gateway")
	flag.StringVar(&o.User, "user", "016683", "the gateway's user")
	flag.StringVar(&o.Secret, "secret", "example-secret-key", "its key; a play key")
	flag.IntVar(&o.Concurrency, "concurrency", 64, "jobs in work at once")
	flag.IntVar(&o.From, "from", 0, "sum up the latencies from this job on")
	flag.IntVar(&o.To, "to", 0, "and before this one; 0: to the end")
	flag.Parse()
	if o.Concurrency < 1 {
		fail(2, fmt.Errorf("-concurrency is %d: must be at least 1", o.Concurrency))
	}
	return o
}
