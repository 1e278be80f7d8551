package console

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/records"
)

const (
	requestTimeout = 30 * time.Second // of one request, beside the live connections
	closeTimeout   = 5 * time.Second  // for the last requests at the end
)

// Options of a console. Records must be set.
type Options struct {
	Records *records.Store
	Policy  capture.Policy   // of the workers
	Decoder *capture.Decoder // reads what a dead letter is about
	// Lag returns how far the records are behind the ledger; nil: that is not known.
	Lag func(context.Context) (records.Lag, error)
	// Operations act and ask the gateway; nil: the console is read-only.
	Operations Operations
	Access     Access
	ReadOnly   bool   // all acts are off
	URL        string // at which browsers reach the console; "": that of the listener
	Version    string
	TLS        *tls.Config // nil: plain HTTP
	// AttentionAfter is how long a trade may be open before it is listed.
	AttentionAfter time.Duration
	Log            *slog.Logger     // nil: nothing is logged
	Now            func() time.Time // nil: time.Now
}

// Server is a console.
type Server struct {
	o        Options
	access   *Access
	now      func() time.Time
	log      *slog.Logger
	secure   bool // browsers use TLS
	key      [32]byte
	pages    pages
	hub      *hub
	sessions *sessions
	requests *limits
	logins   *limits
	asks     *limits

	approvals approvals
	closing   chan struct{}
	handler   http.Handler
}

// New returns a console. Serve runs it.
func New(o Options) (*Server, error) {
	if o.Records == nil {
		return nil, errors.New("console.Options.Records: not set, and there is no default")
	}
	s := &Server{o: o, access: &o.Access, now: o.Now, log: o.Log, closing: make(chan struct{})}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if _, err := rand.Read(s.key[:]); err != nil {
		return nil, err
	}
	if len(o.Access.Users) > 0 {
		unknownHash() // now, so that the first unknown name takes no longer than others
	}
	guard := http.NewCrossOriginProtection()
	s.secure = o.TLS != nil
	if o.URL != "" {
		u, err := url.Parse(o.URL)
		if err != nil {
			return nil, fmt.Errorf("console.url: %w", err)
		}
		s.secure = u.Scheme == "https"
		if err := guard.AddTrustedOrigin(u.Scheme + "://" + u.Host); err != nil {
			return nil, fmt.Errorf("console.url: %w", err)
		}
	}
	var err error
	if s.pages, err = parsePages(); err != nil {
		return nil, err
	}
	s.hub = newHub(s.lookAtRecords)
	s.sessions = newSessions(o.Access.Session, o.Access.Idle, s.now)
	s.requests = newLimits(perSecond, burst, s.now)
	s.logins = newLimits(loginsPerMinute/60.0, loginBurst, s.now)
	s.asks = newLimits(asksPerMinute/60.0, askBurst, s.now)
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, http.StatusForbidden, errors.New("the request comes from a page of another site"))
	}))
	s.handler = s.logged(secured(bounded(guard.Handler(s.routes()))))
	return s, nil
}

// ReadOnly reports whether all acts are off.
func (s *Server) ReadOnly() bool {
	return s.o.ReadOnly || s.o.Operations == nil || !s.access.hasLogin()
}

// routes are all paths of the console.
func (s *Server) routes() http.Handler {
	users := http.NewServeMux()
	users.HandleFunc("GET /{$}", s.home)
	users.HandleFunc("POST /search", s.search)
	users.HandleFunc("GET /trades/{trade}", s.trade)
	users.HandleFunc("GET /trades/{trade}/proof", s.proof)
	users.HandleFunc("GET /trades/{trade}/events.json", s.tradeJSON)
	users.HandleFunc("GET /work", s.work)
	users.HandleFunc("GET /dead-letters", s.letters)
	users.HandleFunc("GET /dead-letters/{seq}", s.letter)
	users.HandleFunc("GET /today", s.today)
	users.HandleFunc("GET /acts", s.listActs)
	users.HandleFunc("GET "+livePath, s.live)
	users.HandleFunc("POST /logout", s.logout)
	s.actRoutes(users)
	s.apiRoutes(users)
	users.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, http.StatusNotFound, errors.New("there is no such page"))
	})
	mux := http.NewServeMux()
	mux.Handle("GET /assets/", assets())
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /login", s.loginPage)
	mux.HandleFunc("POST /login", s.login)
	if s.access.OIDC != nil {
		mux.HandleFunc("GET /oidc/login", s.oidcLogin)
		mux.HandleFunc("GET /oidc/callback", s.oidcCallback)
	}
	mux.Handle("/", s.authenticated(limited(users)))
	return mux
}

// limited bounds the time of a request, and so of its queries.
func limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == livePath {
			next.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// recorder notes the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) { r.status = status; r.ResponseWriter.WriteHeader(status) }

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// logged writes a record for each request: no path, no name and no address, which
// may be personal data.
func (s *Server) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began, seen := s.now(), &recorder{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			p := recover()
			err, _ := p.(error)
			if p != nil && !errors.Is(err, http.ErrAbortHandler) {
				s.log.Error("panic while answering a request", "method", r.Method, "panic", fmt.Sprint(p))
				seen.status = http.StatusInternalServerError
				http.Error(seen, "internal error; see the log of the console", http.StatusInternalServerError)
			}
			s.log.Debug("request", "method", r.Method, "status", seen.status, "took", s.now().Sub(began))
		}()
		next.ServeHTTP(seen, r)
	})
}

// Handler returns the console as an HTTP handler. Live updates come while Serve
// runs.
func (s *Server) Handler() http.Handler { return s.handler }

// Serve answers requests until ctx ends, and closes the listener.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	if s.o.TLS != nil {
		listener = tls.NewListener(listener, s.o.TLS)
	}
	server := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: requestTimeout,
		WriteTimeout: requestTimeout + writeTimeout, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var helpers sync.WaitGroup
	helpers.Go(func() { s.hub.run(ctx) })
	helpers.Go(func() {
		<-ctx.Done()
		close(s.closing)
		within, stop := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer stop()
		if server.Shutdown(within) != nil {
			_ = server.Close()
		}
	})
	err := server.Serve(listener)
	cancel()
	helpers.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serving the console: %w", err)
}
