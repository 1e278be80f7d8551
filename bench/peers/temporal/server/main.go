// Server: a Temporal development server for the benchmark: every service in
// one process, the store in SQLite in memory, one namespace named default.
//
// It is what `temporal server start-dev` starts, made from the server's own
// module. The limits on the rate of calls are lifted; those of a namespace
// would else bound the benchmark. It prints "listening on ADDRESS" when it is
// ready, and runs until SIGTERM. What it stores is lost when it ends.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/schema/sqlite"
	"go.temporal.io/server/temporal"
)

// namespace is the one that clients use who name none.
const namespace = "default"

func main() {
	listen := flag.String("listen", "127.0.0.1:7233", "`address` of the frontend; the other services take the three ports after it")
	shards := flag.Int("shards", 1, "of the history service; the development server has 1")
	level := flag.String("log", "error", "level of the log, on standard error")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, *listen, *shards, *level); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, listen string, shards int, level string) error {
	addresses, err := serviceAddresses(listen)
	if err != nil {
		return err
	}
	cfg := configure(addresses, int32(shards))
	ns, err := sqlite.NewNamespaceConfig(clusterName, namespace, false, nil)
	if err != nil {
		return fmt.Errorf("describing the namespace: %w", err)
	}
	if err := sqlite.CreateNamespaces(cfg.Persistence.DataStores[store].SQL, ns); err != nil {
		return fmt.Errorf("creating the namespace: %w", err)
	}
	hosts := map[primitives.ServiceName]static.Hosts{}
	for name, address := range addresses {
		hosts[name] = static.SingleLocalHost(address)
	}
	server, err := temporal.NewServer(
		temporal.WithConfig(cfg),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(hosts),
		temporal.WithDynamicConfigClient(unlimited()),
		temporal.WithLogger(log.NewZapLogger(log.BuildZapLogger(log.Config{Level: level}))),
	)
	if err != nil {
		return fmt.Errorf("making the server: %w", err)
	}
	if err := server.Start(); err != nil {
		return fmt.Errorf("starting the server: %w", err)
	}
	fmt.Println("listening on", listen)
	<-ctx.Done()
	return server.Stop()
}

// serviceAddresses gives each service a port: the first is the frontend's.
func serviceAddresses(listen string) (map[primitives.ServiceName]string, error) {
	host, text, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, fmt.Errorf("-listen: %w", err)
	}
	port, err := strconv.Atoi(text)
	if err != nil || port < 1 || port > 65532 {
		return nil, fmt.Errorf("-listen: the port is %q: must be a number from 1 to 65532", text)
	}
	addresses := map[primitives.ServiceName]string{}
	for i, name := range []primitives.ServiceName{
		primitives.FrontendService, primitives.HistoryService, primitives.MatchingService, primitives.WorkerService,
	} {
		addresses[name] = net.JoinHostPort(host, strconv.Itoa(port+i))
	}
	return addresses, nil
}

// unlimited lifts the limits on calls a second.
func unlimited() dynamicconfig.Client {
	const many = 1_000_000
	limits := dynamicconfig.StaticClient{}
	for _, key := range []dynamicconfig.Key{
		dynamicconfig.FrontendRPS.Key(), dynamicconfig.FrontendMaxNamespaceRPSPerInstance.Key(),
		dynamicconfig.FrontendPersistenceMaxQPS.Key(), dynamicconfig.FrontendMaxConcurrentLongRunningRequestsPerInstance.Key(),
		dynamicconfig.HistoryRPS.Key(), dynamicconfig.HistoryPersistenceMaxQPS.Key(),
		dynamicconfig.MatchingRPS.Key(), dynamicconfig.MatchingPersistenceMaxQPS.Key(),
	} {
		limits[key] = many
	}
	return limits
}
