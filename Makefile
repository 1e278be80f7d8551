# Everything here needs Go and nothing else.
.DEFAULT_GOAL := help
BIN := bin/capture-worker
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

.PHONY: help
help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-10s %s\n", $$1, $$2}'

.PHONY: demo
demo: ## 200 jobs through a simulated gateway with faults, then an audit; DEMO="--faults hostile" to change it
	go run ./cmd/capture-worker demo $(DEMO)

.PHONY: build
build: ## build bin/capture-worker
	go build -trimpath -ldflags "-X main.version=$(VERSION)" -o $(BIN) ./cmd/capture-worker

.PHONY: lint
lint: ## formatting, vet, golangci-lint, wording
	@test -z "$$(gofmt -l .)" || { echo "not gofmt-ed:"; gofmt -l .; exit 1; }
	go vet ./...
	go tool -modfile=tools/go.mod golangci-lint run ./...
	go test ./internal/wording

.PHONY: vulncheck
vulncheck: ## known vulnerabilities in code that is called; needs the database at vuln.go.dev
	@go tool -modfile=tools/go.mod govulncheck ./... || { status=$$?; \
	  test $$status -ne 1 || echo "vulncheck: nothing was checked; if the error is about https://vuln.go.dev, run it where that can be reached, or set GOVULNDB to a copy"; \
	  exit $$status; }

# Programs of the tests. Those whose tests start processes build into it too:
# what is here already is not built again.
TESTBIN := bin/test
# Past it something is stuck. No test has a shorter bound of its own.
BOUND := -timeout 40m
# So many packages run at a time: those whose tests start processes mostly wait.
AT_ONCE := 4

.PHONY: test
test: lint ## lint, all tests with the race detector but the long ones, a short hostile demo and simulation
	@mkdir -p $(TESTBIN)
	go build -buildvcs=false -o $(TESTBIN)/ ./cmd/capture-worker ./sim/simulate ./internal/suite
	$(TESTBIN)/capture-worker demo --faults hostile --jobs 100 --seed 1
	$(TESTBIN)/simulate -quiet -seeds 500
	$(TESTBIN)/suite -race $(BOUND) -p $(AT_ONCE) ./...

# The long tests are those that begin with processtest.Long(t).
LONG = grep -rE --include='*_test.go' -B1 'processtest\.Long\(t\)' .

.PHONY: verify
verify: ## what make test has no time for: long tests, chaos, mutants, 2,000 seeds twice, fuzz, the other modules
	@mkdir -p $(TESTBIN)
	go build -buildvcs=false -o $(TESTBIN)/ ./sim/simulate ./internal/suite
	CAPTURE_TEST=verify $(TESTBIN)/suite -race $(BOUND) \
	  -run "^($$($(LONG) | grep -oE 'func Test\w+' | sed 's/func //' | sort | paste -sd'|'))$$" \
	  $$($(LONG) | grep -oE '^[^:]+_test.go' | sort -u | xargs -n1 dirname | sort -u)
	$(MAKE) chaos LENGTH=1m
	$(MAKE) mutants
	$(TESTBIN)/simulate -quiet -seeds 2000 >$(TESTBIN)/once.txt || { cat $(TESTBIN)/once.txt; exit 1; }
	$(TESTBIN)/simulate -quiet -seeds 2000 >$(TESTBIN)/again.txt
	diff -I ' seeds in ' $(TESTBIN)/once.txt $(TESTBIN)/again.txt # histories depend on their seeds only
	$(MAKE) fuzz FUZZTIME=50000x # some seconds; by the clock it fails now and then where the machine is busy
	cd deploy/kubernetes && go vet ./...
	$(TESTBIN)/suite -dir deploy/kubernetes $(BOUND) ./...
	cd bench && go vet ./...
	$(TESTBIN)/suite -dir bench $(BOUND) ./...
	cd bench/peers/contest && go vet ./...
	$(TESTBIN)/suite -dir bench/peers/contest $(BOUND) ./...

.PHONY: stress
stress: ## the tests TIMES (3) times beside CPUS (2) busy programs, with SYNC=1 one that writes and syncs; reports how often each failed
	@mkdir -p $(TESTBIN)
	go build -buildvcs=false -o $(TESTBIN)/ ./internal/suite ./internal/load
	$(TESTBIN)/load -cpus $(or $(CPUS),2) $(if $(SYNC),-sync $(TESTBIN)) -for 3h & load=$$!; trap "kill $$load" EXIT; \
	  $(TESTBIN)/suite -times $(or $(TIMES),3) -race -count=1 $(BOUND) -p $(AT_ONCE) $(or $(PACKAGES),./...)

.PHONY: fuzz
# Looking for a smaller input of the same worth would take most of the minute.
fuzz: ## a minute for each fuzz target; FUZZTIME=10s or 50000x to change it
	@set -e; grep -rho --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | grep -q . || { echo "no fuzz target was found"; exit 1; }
	@set -e; for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
	  for target in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$dir/*_test.go | sed 's/^func //' | sort); do \
	    echo "$$dir $$target"; go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(or $(FUZZTIME),1m) -fuzzminimizetime 100x $$dir; \
	  done; done

.PHONY: chaos
chaos: ## real processes with faults of every kind for three minutes; LENGTH=1h, CHAOS_SEED=7 to repeat their order
	CHAOS=$(or $(LENGTH),3m) go test -race -count=1 -timeout 0 -v -run '^TestChaos$$' ./internal/e2e

.PHONY: scaling
scaling: ## captures a second of 1, 2 and 4 workers, on one server and on three; takes ten minutes
	go test -count=1 -timeout 30m -v -run TestScaling ./internal/cluster -scaling

.PHONY: sim
sim: ## the deterministic simulation; SEEDS=100000 for more, CRASH=-crash for every crash point of each
	go run ./sim/simulate -seeds $(or $(SEEDS),2000) -start $(or $(START),1) $(CRASH)

.PHONY: mutants
mutants: ## bugs in production code, one at a time: the simulation must find each
	go run ./sim/mutants

.PHONY: bench
bench: ## capture-worker beside the ceiling, a naive worker and two peers; about six minutes, Linux
	cd bench && go run . -seconds 1 -rounds 5 -cells 0ms/64,20ms/64,20ms/256,20ms/1024,100ms/1024 \
	  -candidates ceiling,naive,naive-ledger,capture-worker,watermill-jetstream,asynq -out ../bin/bench.json

BENCH := bin/bench
.PHONY: bench-growth
bench-growth: ## what commands that read cost, beside appends, with 10k, 300k and 1M trades; SIZES=10000,100000; an hour, writes docs/performance.md
	mkdir -p $(BENCH)
	cd bench && go build -o ../$(BENCH)/bench .
	$(BENCH)/bench -root . -scenario reads -rounds 5 $(if $(SIZES),-sizes $(SIZES)) -out $(BENCH)/reads.json
	$(BENCH)/bench -docs docs -report $(BENCH)/reads.json

.PHONY: bench-full
bench-full: ## everything in docs/performance.md, and writes it there; an hour and a quarter, on a quiet machine
	mkdir -p $(BENCH)
	cd bench && go build -o ../$(BENCH)/bench .
	$(BENCH)/bench -root . -candidates all -seconds 1 -rounds 5 -out $(BENCH)/matrix.json -cells \
	  0ms/16,0ms/64,0ms/256,0ms/1024,20ms/16,20ms/64,20ms/256,20ms/1024,100ms/16,100ms/64,100ms/256,100ms/1024
	$(BENCH)/bench -root . -scenario durable -rounds 5 -out $(BENCH)/durable.json
	$(BENCH)/bench -root . -scenario fleet -rounds 5 -out $(BENCH)/fleet.json
	$(BENCH)/bench -root . -scenario growth -out $(BENCH)/growth.json
	$(BENCH)/bench -root . -scenario faults -rounds 3 -out $(BENCH)/faults.json
	$(BENCH)/bench -docs docs $(foreach part,matrix durable fleet growth faults,-report $(BENCH)/$(part).json)
