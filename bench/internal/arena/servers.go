package arena

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"time"

	"github.com/capture-worker/capture-worker/bench/internal/rig"
)

// server keeps the queue of contestants that do not take their jobs from NATS.
type server struct {
	name    string
	flag    string // by which contestants are told its address
	start   func(ctx context.Context, b builder, dir string) (*rig.Process, string, error)
	version func() string
	process *rig.Process
	address string
}

func (s *server) pid() int { return s.process.PID() }

// serverBound is how long a server may take until it answers.
const serverBound = 30 * time.Second

// firstPort is where the search for a free port begins, for servers that must
// be told one: below those that the kernel hands out by itself.
const firstPort = 21379

func freePort() (int, error) {
	for port := firstPort; port < firstPort+200; port++ {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no port is free")
}

// redis writes every change to a file that is synced each second: as durable
// as JetStream is by default, which syncs later.
func redis() *server {
	version := func() string { return rig.FirstLine("redis-server", "--version") }
	return &server{name: "redis-server", flag: "-redis", version: version, start: func(ctx context.Context, _ builder, dir string) (*rig.Process, string, error) {
		program, err := exec.LookPath("redis-server")
		if err != nil {
			return nil, "", errors.New("there is no redis-server on this machine (Debian: apt-get install redis-server)")
		}
		port, err := freePort()
		if err != nil {
			return nil, "", err
		}
		p, err := rig.Start(rig.Command{Name: "redis-server", Path: program, Dir: dir, Args: []string{
			"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", dir, "--save", "", "--appendonly", "yes", "--appendfsync", "everysec"}})
		return p, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), err
	}}
}

// serve starts the contestant's server, once for all who share it.
func (a *Arena) serve(ctx context.Context, s *server, b builder) error {
	if s == nil || s.process != nil {
		return nil
	}
	p, address, err := s.start(ctx, b, a.cfg.Dir)
	if err != nil {
		return err
	}
	a.closers = append(a.closers, func() error { _, err := p.Stop(); return err })
	err = rig.Until(ctx, serverBound, s.name+" to listen", func() (bool, error) {
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
