package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// startBound is far above what a start takes, and an answer of the server, on
// a busy machine too.
const startBound = 2 * time.Minute

// Broker is a nats-server process with JetStream on files, and a connection to
// it.
type Broker struct {
	*Process
	URL string
	Dir string // of its files
	NC  *nats.Conn
	JS  jetstream.JetStream
}

// StartBroker starts a nats-server on a free port. With sync it tells the disk
// before it confirms anything (sync_interval: always); without, it syncs every
// two minutes, which is the server's default.
func StartBroker(ctx context.Context, program, dir string, sync bool) (*Broker, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	interval := ""
	if sync {
		interval = "sync_interval: always"
	}
	config := fmt.Sprintf("listen: \"127.0.0.1:-1\"\nports_file_dir: %q\njetstream {\n  store_dir: %q\n  %s\n}\n", dir, filepath.Join(dir, "store"), interval)
	path := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		return nil, err
	}
	p, err := Start(Command{Name: "nats-server", Path: program, Args: []string{"-c", path}, Dir: dir})
	if err != nil {
		return nil, err
	}
	b := &Broker{Process: p, Dir: dir}
	if err := b.connect(ctx, dir); err != nil {
		p.Stop()
		return nil, err
	}
	return b, nil
}

func (b *Broker) connect(ctx context.Context, dir string) error {
	err := Until(ctx, startBound, "the nats-server's port", func() (bool, error) {
		b.URL = natsPort(dir)
		return b.URL != "", b.Alive()
	})
	if err != nil {
		return err
	}
	if b.NC, err = nats.Connect(b.URL, nats.MaxReconnects(-1), nats.Timeout(startBound), nats.Name("bench")); err != nil {
		return fmt.Errorf("connecting to the nats-server: %w", err)
	}
	b.JS, err = jetstream.New(b.NC, jetstream.WithPublishAsyncMaxPending(publishAhead), jetstream.WithDefaultTimeout(startBound))
	return err
}

// natsPort reads the file in which the server tells where it listens.
func natsPort(dir string) string {
	files, _ := filepath.Glob(filepath.Join(dir, "*.ports"))
	var ports struct{ Nats []string }
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil && json.Unmarshal(text, &ports) == nil && len(ports.Nats) > 0 {
			return strings.Replace(ports.Nats[0], "0.0.0.0", "127.0.0.1", 1)
		}
	}
	return ""
}

// Close ends the connection and the server.
func (b *Broker) Close() error {
	b.NC.Close()
	_, err := b.Stop()
	return err
}
