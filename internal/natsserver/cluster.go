package natsserver

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/capture-worker/capture-worker/internal/freeport"
)

type clusterOptions struct {
	port   int
	routes []*url.URL
}

func (c *clusterOptions) apply(o *server.Options) {
	o.Cluster = server.ClusterOpts{Name: "capture-worker", Host: o.Host, Port: c.port, NoAdvertise: true}
	o.Routes = c.routes
}

// Cluster is a cluster of servers in one process, for tests.
type Cluster struct {
	Servers []*Server
}

// clusterTimeout is far longer than an election takes, even on a loaded machine.
const clusterTimeout = 2 * time.Minute

// StartCluster runs n servers with stores under dir. It returns when they have
// elected a leader and all of them are current.
func StartCluster(n int, dir string) (*Cluster, error) { return startCluster(n, dir, false) }

// StartSyncedCluster is StartCluster with servers that sync every message to disk
// before they confirm it.
func StartSyncedCluster(n int, dir string) (*Cluster, error) { return startCluster(n, dir, true) }

func startCluster(n int, dir string, syncAlways bool) (*Cluster, error) {
	ports, err := freeport.Find(2 * n)
	if err != nil {
		return nil, err
	}
	routes := make([]*url.URL, n)
	for i, port := range ports[:n] {
		routes[i] = &url.URL{Scheme: "nats-route", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	}
	c := &Cluster{}
	for i, port := range ports[:n] {
		name := fmt.Sprintf("node-%d", i+1)
		s, err := launch(Options{
			Name: name, StoreDir: filepath.Join(dir, name), Port: ports[n+i], SyncAlways: syncAlways, ReadyTimeout: clusterTimeout,
			cluster: &clusterOptions{port: port, routes: routes},
		}.withDefaults())
		if err != nil {
			c.Shutdown()
			return nil, err
		}
		c.Servers = append(c.Servers, s)
	}
	if err := c.waitReady(clusterTimeout); err != nil {
		c.Shutdown()
		return nil, err
	}
	return c, nil
}

func (c *Cluster) waitReady(bound time.Duration) error {
	deadline := time.Now().Add(bound)
	for _, s := range c.Servers {
		if err := s.waitReady(); err != nil {
			return err
		}
	}
	for !c.formed() {
		if time.Now().After(deadline) {
			return fmt.Errorf("%w: no leader elected within %s", ErrNotReady, bound)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

func (c *Cluster) formed() bool {
	led := slices.ContainsFunc(c.Servers, func(s *Server) bool {
		return s.srv.JetStreamIsLeader() && len(s.srv.JetStreamClusterPeers()) == len(c.Servers)
	})
	stale := slices.ContainsFunc(c.Servers, func(s *Server) bool { return !s.srv.JetStreamIsCurrent() })
	return led && !stale
}

// URL returns the addresses of all servers, separated by commas.
func (c *Cluster) URL() string {
	urls := make([]string, len(c.Servers))
	for i, s := range c.Servers {
		urls[i] = s.URL()
	}
	return strings.Join(urls, ",")
}

// Restart starts servers of the cluster that were shut down, each with its address
// and store, and returns when all servers of the cluster are ready.
func (c *Cluster) Restart(servers ...int) error {
	for _, i := range servers {
		if err := c.relaunch(i); err != nil {
			return err
		}
	}
	return c.waitReady(clusterTimeout)
}

// relaunch retries until ReadyTimeout: a client that tries to reconnect may occupy
// the port for a moment.
func (c *Cluster) relaunch(i int) error {
	before := c.Servers[i]
	o := before.opts
	o.Port = before.Port()
	deadline := time.Now().Add(o.ReadyTimeout)
	for {
		s, err := launch(o)
		if err == nil {
			c.Servers[i] = s
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("restarting server %s of the cluster: %w", o.Name, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Shutdown stops all servers and waits until they are down.
func (c *Cluster) Shutdown() {
	for _, s := range c.Servers {
		s.Shutdown()
	}
}
