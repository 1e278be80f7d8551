package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// Limits bound what strangers may take of us.
type Limits struct {
	ReadHeader  time.Duration // until the headers are there
	Read        time.Duration // until the body is there
	Write       time.Duration // from the headers to the end of the answer
	Idle        time.Duration // of a connection that is kept open
	HeaderBytes int
	Connections int // at a time; more wait in the system's queue
}

// DefaultLimits suit a gateway that sends small bodies quickly.
func DefaultLimits() Limits {
	return Limits{
		ReadHeader: 5 * time.Second, Read: 10 * time.Second, Write: 20 * time.Second, Idle: 30 * time.Second,
		HeaderBytes: 16 << 10, Connections: 256,
	}
}

// drainBound is how long Serve waits at its end, for answers and then for
// queries under way.
const drainBound = 5 * time.Second

// Serve serves notifications at path until ctx ends, and closes the listener
// and the handler: it returns when nothing of them runs any more. Whatever is
// not at path gets 404. The error is nil where only ctx ended it.
func Serve(ctx context.Context, l net.Listener, path string, h *Handler, limits Limits) error {
	mux := http.NewServeMux()
	mux.Handle(path, h)
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: limits.ReadHeader, ReadTimeout: limits.Read,
		WriteTimeout: limits.Write, IdleTimeout: limits.Idle, MaxHeaderBytes: limits.HeaderBytes,
		// It would log each stranger's broken handshake.
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(netutil.LimitListener(l, limits.Connections)) }()
	var err error
	select {
	case err = <-ended:
		err = fmt.Errorf("serving notifications: %w", err)
	case <-ctx.Done():
		err = shutDown(server)
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
	}
	h.Drain()
	return err
}

// Drain closes the handler within a bound.
func (h *Handler) Drain() {
	bound, cancel := context.WithTimeout(context.Background(), drainBound)
	defer cancel()
	// Queries that are cut short lose nothing: the evidence is in the ledger.
	if err := h.Close(bound); err != nil {
		h.cfg.Log.Warn("notified trades left for scheduled retry at shutdown", "error", err)
	}
}

// shutDown waits for the answers under way, then cuts what is left: a sender
// that is too slow sends again.
func shutDown(server *http.Server) error {
	bound, cancel := context.WithTimeout(context.Background(), drainBound)
	defer cancel()
	if err := server.Shutdown(bound); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("ending the listener for notifications: %w", err)
	}
	return server.Close()
}
