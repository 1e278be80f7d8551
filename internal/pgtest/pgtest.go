//go:build unix

// Package pgtest starts a Postgres server for a test, from the programs that
// Debian's package postgresql installs.
package pgtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/capture-worker/capture-worker/internal/freeport"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

const (
	startBound = time.Minute
	stopBound  = 20 * time.Second
)

// Server is a Postgres server for one test, on loopback. It does not sync to the
// disk, because tests kill only its processes, not the machine.
type Server struct {
	t    testing.TB
	bin  string
	dir  string
	port int
	cred *syscall.Credential

	cmd   *exec.Cmd
	ended chan struct{} // closed when cmd has ended
}

// Start starts a server, and skips the test with the reason if there is none.
func Start(t testing.TB) *Server {
	t.Helper()
	bin := programs()
	if bin == "" {
		t.Skip("left out: postgres is not installed (apt-get install postgresql)")
	}
	ports, err := freeport.Find(1)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, bin: bin, port: ports[0]}
	if s.cred, err = credential(); err != nil {
		t.Skip("left out: postgres: " + err.Error())
	}
	// Not t.TempDir, which other users may not enter.
	if s.dir, err = os.MkdirTemp("", "capture-worker-pg-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(s.dir) })
	if s.cred != nil {
		if err := os.Chown(s.dir, int(s.cred.Uid), int(s.cred.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), startBound)
	defer cancel()
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", s.data(), "-U", "records", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C")
	s.as(initdb)
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("creating a Postgres cluster: %v\n%s", err, out)
	}
	t.Cleanup(s.stop)
	s.Launch()
	return s
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) as(cmd *exec.Cmd) {
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred}
}

// programs returns the folder with the programs of the newest installed server.
func programs() string {
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path)
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) == 0 {
		return ""
	}
	return filepath.Dir(slices.Max(found))
}

// credential returns the user postgres if we are root, because the server refuses
// to run as root; else nil, for our own user.
func credential() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("running Postgres, which does not run as root: there is no user postgres: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

// Launch starts the server again after Kill. It retries, because the server does
// not start before the children of the killed one have ended.
func (s *Server) Launch() {
	s.t.Helper()
	up := processtest.Comes(startBound, func() bool {
		if s.cmd == nil || s.hasEnded() {
			s.run()
		}
		return s.exec("SELECT 1") == nil
	})
	if !up {
		s.t.Fatalf("Postgres was not ready within %s", startBound)
	}
}

func (s *Server) run() {
	s.t.Helper()
	s.cmd, s.ended = exec.Command(filepath.Join(s.bin, "postgres"), "-D", s.data(), "-p", strconv.Itoa(s.port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "max_connections=50"), make(chan struct{})
	s.as(s.cmd)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("starting Postgres: %v", err)
	}
	go func(cmd *exec.Cmd, ended chan struct{}) {
		defer close(ended)
		_ = cmd.Wait() // it is stopped or killed
	}(s.cmd, s.ended)
}

func (s *Server) hasEnded() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// Kill ends the server like a crash.
func (s *Server) Kill() {
	s.t.Helper()
	s.end(syscall.SIGKILL)
}

func (s *Server) stop() { s.end(syscall.SIGINT) } // a fast shutdown

func (s *Server) end(how syscall.Signal) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(how) // it may have ended
	select {
	case <-s.ended:
	case <-time.After(stopBound):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
	s.cmd = nil
}

// URL creates an empty database and returns its address.
func (s *Server) URL(name string) string {
	s.t.Helper()
	if err := s.exec("CREATE DATABASE " + pgx.Identifier{name}.Sanitize()); err != nil {
		s.t.Fatalf("creating database %s: %v", name, err)
	}
	return s.url(name)
}

func (s *Server) url(name string) string {
	return fmt.Sprintf("postgres://records@127.0.0.1:%d/%s?sslmode=disable", s.port, name)
}

func (s *Server) exec(text string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, text)
	return err
}
