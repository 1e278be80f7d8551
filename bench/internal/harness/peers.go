package harness

// peers are the common alternatives. Each is a module of
// its own under bench/peers.
func peers() []candidate {
	program := func(name string) func(b builder) (string, error) {
		return func(b builder) (string, error) { return b.compile(b.root+"/bench/peers/"+name, ".", name) }
	}
	// The one of watermill-nats that knows push consumers only makes one of its
	// own, beside the configured durable and like it.
	return []candidate{
		{name: "bento", build: program("bento"), module: "github.com/warpstreamlabs/bento"},
		{name: "watermill-nats", build: program("watermill"), args: []string{"-kind", "nats"}, consumer: "-watermill", module: "github.com/ThreeDotsLabs/watermill-nats/v2"},
		{name: "watermill-jetstream", build: program("watermill"), args: []string{"-kind", "jetstream"}, module: "github.com/ThreeDotsLabs/watermill-nats/v2"},
		{name: "asynq", queue: onItself, server: redis(), build: program("asynq"), module: "github.com/hibiken/asynq"},
		{name: "temporal", queue: onItself, server: temporal(), build: program("temporal"), module: "go.temporal.io/sdk"},
	}
}
