package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/capture-worker/capture-worker/config"
)

// adminClose bounds the wait for the last requests of the admin listener.
const adminClose = 2 * time.Second

// probe answers a question about the worker: nil is yes.
type probe func() error

// startAdmin serves metrics and health on admin.listen. The returned function
// stops it. Where the address is the default and taken, as by a second worker
// on one machine, the worker works on without: capturing matters more.
func startAdmin(c config.Config, metrics http.Handler, alive, ready probe, log *slog.Logger) (stop func(), err error) {
	if c.Admin.Listen == "" {
		return func() {}, nil
	}
	listener, err := listenAt("metrics and health (admin.listen)", c.Admin.Listen)
	if err != nil {
		if c.Origin("admin.listen").From != config.FromDefault {
			return nil, err
		}
		log.Error("working without metrics and health; set admin.listen to a free address, or to off", "error", err)
		return func() {}, nil
	}
	server := &http.Server{
		Handler: adminRoutes(metrics, alive, ready, c.Admin.Pprof), ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics and health are no longer served", "error", err)
		}
	}()
	log.Info("serving metrics and health", "address", listener.Addr().String())
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), adminClose)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
		<-served
	}, nil
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

// answer says ok, or 503 and why not.
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
