package main

import (
	"net"
	"strconv"
	"time"

	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	sqliteplugin "go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/primitives"
)

const (
	clusterName = "bench"
	store       = "memory"
)

// configure is the configuration of a server with all its services at these
// addresses and nothing that outlives the process.
func configure(addresses map[primitives.ServiceName]string, shards int32) *config.Config {
	frontend := addresses[primitives.FrontendService]
	host, _ := hostPort(frontend)
	cfg := &config.Config{
		Persistence: config.Persistence{
			DefaultStore: store, VisibilityStore: store, NumHistoryShards: shards,
			DataStores: map[string]config.DataStore{store: {SQL: &config.SQL{
				PluginName: sqliteplugin.PluginName, DatabaseName: "bench",
				ConnectAttributes: map[string]string{"mode": "memory", "cache": "shared"},
			}}},
		},
		ClusterMetadata: &cluster.Config{
			MasterClusterName: clusterName, CurrentClusterName: clusterName, FailoverVersionIncrement: 10,
			ClusterInformation: map[string]cluster.ClusterInformation{
				clusterName: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: frontend},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		PublicClient:        config.PublicClient{HostPort: frontend},
		Services:            map[string]config.Service{},
	}
	cfg.Global.Membership = config.Membership{MaxJoinDuration: 30 * time.Second, BroadcastAddress: host}
	cfg.Archival.History.State, cfg.Archival.Visibility.State = "disabled", "disabled"
	cfg.NamespaceDefaults.Archival.History.State = "disabled"
	cfg.NamespaceDefaults.Archival.Visibility.State = "disabled"
	for name, address := range addresses {
		host, port := hostPort(address)
		cfg.Services[string(name)] = config.Service{RPC: config.RPC{GRPCPort: port, BindOnIP: host}}
	}
	return cfg
}

// hostPort splits an address that serviceAddresses made.
func hostPort(address string) (string, int) {
	host, text, _ := net.SplitHostPort(address)
	port, _ := strconv.Atoi(text)
	return host, port
}
