package harness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/capture-worker/capture-worker/bench/internal/fixture"
)

// server keeps the queue of candidates that do not take their jobs from NATS.
type server struct {
	name    string
	flag    string // that passes its address to candidates
	start   func(ctx context.Context, b builder, dir string) (*fixture.Process, string, error)
	version func() string
	process *fixture.Process
	address string
}

func (s *server) pid() int { return s.process.PID() }

// serverBound is how long a server may take until it answers.
const serverBound = 2 * time.Minute

// Where the search for free ports begins, for servers that must be told one:
// below those that the kernel hands out by itself.
const (
	redisPort    = 21379
	temporalPort = 22233
)

// freePort finds n free ports in a row, and returns the first.
func freePort(from, n int) (int, error) {
	for first := from; first < from+400; first += n {
		if portsFree(first, n) {
			return first, nil
		}
	}
	return 0, fmt.Errorf("no port from %d on is free", from)
}

func portsFree(first, n int) bool {
	for port := first; port < first+n; port++ {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}

// redis writes every change to a file that is synced each second: as durable
// as JetStream is by default, which syncs later.
func redis() *server {
	version := func() string {
		words := fixture.FirstLine("redis-server", "--version") // Redis server v=7.0.15 sha=…
		_, version, _ := strings.Cut(words, "v=")
		version, _, _ = strings.Cut(version, " ")
		return version
	}
	return &server{name: "redis-server", flag: "-redis", version: version, start: func(ctx context.Context, _ builder, dir string) (*fixture.Process, string, error) {
		program, err := exec.LookPath("redis-server")
		if err != nil {
			return nil, "", errors.New("there is no redis-server on this machine (Debian: apt-get install redis-server)")
		}
		port, err := freePort(redisPort, 1)
		if err != nil {
			return nil, "", err
		}
		p, err := fixture.Start(fixture.Command{Name: "redis-server", Path: program, Dir: dir, Args: []string{
			"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", dir, "--save", "", "--appendonly", "yes", "--appendfsync", "everysec"}})
		return p, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), err
	}}
}

// temporal is the development server of the peers: all services in one process,
// the store in memory.
func temporal() *server {
	return &server{name: "temporal-server", flag: "-temporal", start: func(ctx context.Context, b builder, dir string) (*fixture.Process, string, error) {
		program, err := b.compile(filepath.Join(b.root, "bench", "peers", "temporal", "server"), ".", "temporal-server")
		if err != nil {
			return nil, "", err
		}
		const services = 4 // each has a port
		port, err := freePort(temporalPort, services)
		if err != nil {
			return nil, "", err
		}
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		p, err := fixture.Start(fixture.Command{Name: "temporal-server", Path: program, Dir: dir, Args: []string{"-listen", address}})
		if err != nil {
			return nil, "", err
		}
		err = fixture.Until(ctx, serverBound, "the Temporal server", func() (bool, error) {
			text, err := os.ReadFile(p.Output)
			return strings.Contains(string(text), "listening on"), errors.Join(err, p.Alive())
		})
		if err != nil {
			_, stopErr := p.Stop()
			return nil, "", errors.Join(err, stopErr)
		}
		return p, address, nil
	}}
}

// serve starts the candidate's server, once for all who share it.
func (a *Harness) serve(ctx context.Context, s *server, b builder) error {
	if s == nil || s.process != nil {
		return nil
	}
	p, address, err := s.start(ctx, b, a.cfg.Dir)
	if err != nil {
		return err
	}
	a.closers = append(a.closers, func() error { _, err := p.Stop(); return err })
	err = fixture.Until(ctx, serverBound, s.name+" to listen", func() (bool, error) {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return false, p.Alive()
		}
		return true, conn.Close()
	})
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	s.process, s.address = p, address
	return nil
}
