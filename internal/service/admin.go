package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/capture-worker/capture-worker/config"
)

// adminCloseTimeout limits the wait for the last requests of the admin listener.
const adminCloseTimeout = 2 * time.Second

// probe checks the worker: nil means that it passes.
type probe func() error

// startAdmin serves metrics and health on admin.listen; stop ends it. If the
// address is the default and in use, for example by a second worker on the same
// machine, the worker runs without it.
func startAdmin(c config.Config, metrics http.Handler, alive, ready probe, log *slog.Logger) (stop func(), err error) {
	if c.Admin.Listen == "" {
		return func() {}, nil
	}
	listener, err := Listen("metrics and health (admin.listen)", c.Admin.Listen)
	if err != nil {
		if c.Origin("admin.listen").From != config.FromDefault {
			return nil, err
		}
		log.Error("metrics and health not served: set admin.listen to a free address, or to off", "error", err)
		return func() {}, nil
	}
	return serveAdmin(listener, adminRoutes(metrics, alive, ready, c.Admin.Pprof), log), nil
}

// serveAdmin serves metrics and health on a listener. stop ends it.
func serveAdmin(listener net.Listener, handler http.Handler, log *slog.Logger) (stop func()) {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("serving metrics and health failed", "error", err)
		}
	}()
	log.Info("serving metrics and health", "address", listener.Addr().String())
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), adminCloseTimeout)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
		<-served
	}
}

func adminRoutes(metrics http.Handler, alive, ready probe, profiles bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.Handle("GET /livez", answer(alive))
	mux.Handle("GET /readyz", answer(ready))
	if profiles {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// answer responds ok, or 503 with the error of the probe.
func answer(p probe) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if err := p(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, err)
			return
		}
		fmt.Fprintln(w, "ok")
	})
}
