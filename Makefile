# Everything here needs Go and nothing else.
.DEFAULT_GOAL := help
BIN := bin/capture-worker
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

.PHONY: help
help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-10s %s\n", $$1, $$2}'

.PHONY: demo
demo: ## 200 jobs through a hostile little world, then an audit; DEMO="--faults hostile" to change it
	go run ./cmd/capture-worker demo $(DEMO)

.PHONY: build
build: ## build bin/capture-worker
	go build -trimpath -ldflags "-X main.version=$(VERSION)" -o $(BIN) ./cmd/capture-worker

.PHONY: lint
lint: ## formatting, vet, staticcheck
	@test -z "$$(gofmt -l .)" || { echo "not gofmt-ed:"; gofmt -l .; exit 1; }
	go vet ./...
	go tool -modfile=tools/go.mod staticcheck ./...

.PHONY: test
test: lint ## lint, tests with the race detector, a short hostile demo and simulation
	go test -race -timeout 15m ./...
	cd deploy/kubernetes && go vet ./... && go test ./...
	cd bench && go vet ./... && go test ./...
	cd bench/peers/contest && go vet . && go test .
	go run ./cmd/capture-worker demo --faults hostile --jobs 100 --seed 1
	$(MAKE) sim

.PHONY: fuzz
# Looking for a smaller input of the same worth would take most of the minute.
fuzz: ## a minute for each fuzz target; FUZZTIME=10s to change it
	@set -e; grep -rho --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | grep -q . || { echo "no fuzz target was found"; exit 1; }
	@set -e; for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
	  for target in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$dir/*_test.go | sed 's/^func //' | sort); do \
	    echo "$$dir $$target"; go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(or $(FUZZTIME),1m) -fuzzminimizetime 100x $$dir; \
	  done; done

.PHONY: chaos
chaos: ## the tests with real processes, with three minutes of trouble; CHAOS_SEED=7 repeats the order of it
	CHAOS=long go test -race -count=1 -timeout 30m -v -run . ./internal/e2e

.PHONY: scaling
scaling: ## captures a second of 1, 2 and 4 workers, on one server and on three; takes ten minutes
	go test -count=1 -timeout 30m -v -run TestScaling ./internal/cluster -scaling

.PHONY: sim
sim: ## the deterministic simulation; SEEDS=100000 for more, CRASH=-crash for every crash point of each
	go run ./sim/simulate -seeds $(or $(SEEDS),2000) -start $(or $(START),1) $(CRASH)

.PHONY: mutants
mutants: ## one bug after the other in production code: the simulation must find each
	go run ./sim/mutants

.PHONY: bench
bench: ## capture-worker beside the ceiling, a naive worker and two peers; about six minutes, Linux
	cd bench && go run . -seconds 1 -turns 5 -cells 0ms/64,20ms/64,20ms/256,20ms/1024,100ms/1024 \
	  -contestants ceiling,naive,naive-ledger,capture-worker,watermill-jetstream,asynq -out ../bin/bench.json

BENCH := bin/bench
.PHONY: bench-full
bench-full: ## everything in docs/performance.md, and writes it there; an hour and a quarter, on a quiet machine
	mkdir -p $(BENCH)
	cd bench && go build -o ../$(BENCH)/bench .
	$(BENCH)/bench -root . -contestants all -seconds 1 -turns 5 -out $(BENCH)/matrix.json -cells \
	  0ms/16,0ms/64,0ms/256,0ms/1024,20ms/16,20ms/64,20ms/256,20ms/1024,100ms/16,100ms/64,100ms/256,100ms/1024
	$(BENCH)/bench -root . -scenario durable -turns 5 -out $(BENCH)/durable.json
	$(BENCH)/bench -root . -scenario fleet -turns 5 -out $(BENCH)/fleet.json
	$(BENCH)/bench -root . -scenario growth -out $(BENCH)/growth.json
	$(BENCH)/bench -root . -scenario trouble -turns 3 -out $(BENCH)/trouble.json
	$(BENCH)/bench -docs docs $(foreach part,matrix durable fleet growth trouble,-report $(BENCH)/$(part).json)
