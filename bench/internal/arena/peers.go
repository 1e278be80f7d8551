package arena

// peers are the programs that people would use instead. Each is a module of
// its own under bench/peers.
func peers() []contestant {
	program := func(name string) func(b builder) (string, error) {
		return func(b builder) (string, error) { return b.compile(b.root+"/bench/peers/"+name, ".", name) }
	}
	return []contestant{
		{name: "bento", build: program("bento")},
		{name: "watermill-nats", build: program("watermill"), args: []string{"-kind", "nats"}},
		{name: "watermill-jetstream", build: program("watermill"), args: []string{"-kind", "jetstream"}},
		{name: "asynq", queue: onItself, build: program("asynq")},
		{name: "temporal", queue: onItself, build: program("temporal")},
	}
}
