package console

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// maxBody bounds a request's body: the longest is the corrected job of a dead
	// letter.
	maxBody = 1 << 20
	// maxInFlight bounds the requests that are answered at a time, beside the live
	// connections.
	maxInFlight = 64
	// A client may make burst requests at once and perSecond in the long run; a
	// client is a user, or the address of one who is not logged in.
	perSecond, burst = 20, 100
	// Logins and questions to the gateway are scarcer.
	loginsPerMinute, loginBurst = 12, 6
	asksPerMinute, askBurst     = 20, 5
	maxClients                  = 4096
)

const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// secured adds the headers that every answer has.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()")
		h.Set("Cache-Control", "no-store")
		if r.TLS != nil {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

// limits is a rate limit for each client.
type limits struct {
	every rate.Limit
	burst int
	now   func() time.Time

	mu  sync.Mutex
	all map[string]*limit
}

type limit struct {
	*rate.Limiter
	used time.Time
}

func newLimits(perSecond float64, burst int, now func() time.Time) *limits {
	return &limits{every: rate.Limit(perSecond), burst: burst, now: now, all: map[string]*limit{}}
}

func (l *limits) allow(client string) bool {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	one, ok := l.all[client]
	if !ok {
		if len(l.all) >= maxClients {
			l.sweep(now)
		}
		one = &limit{Limiter: rate.NewLimiter(l.every, l.burst)}
		l.all[client] = one
	}
	one.used = now
	return one.AllowN(now, 1)
}

// sweep forgets the clients that made no request for a minute, and all if there
// are none: a limit that is too kind for a moment beats one without a bound.
func (l *limits) sweep(now time.Time) {
	for client, one := range l.all {
		if now.Sub(one.used) > time.Minute {
			delete(l.all, client)
		}
	}
	if len(l.all) >= maxClients {
		clear(l.all)
	}
}

// clientOf names the client of a request for its limits.
func clientOf(r *http.Request, user User) string {
	if user.Name != "" {
		return "user " + user.Name
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return host
}

// errAnonymous refuses a client without a login that is not this machine.
var errAnonymous = errors.New("without a login the console answers only this machine, under its loopback address")

// localOnly checks that an anonymous request is from this machine, and was sent
// to a loopback name: a page of another site that resolves its own name to
// 127.0.0.1 must not read.
func localOnly(r *http.Request) error {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !remote.Addr().Unmap().IsLoopback() {
		return errAnonymous
	}
	host := (&url.URL{Host: r.Host}).Hostname()
	ip, _ := netip.ParseAddr(host)
	if host != "localhost" && !ip.IsLoopback() {
		return errAnonymous
	}
	return nil
}

type userKey struct{}

func userOf(ctx context.Context) User {
	u, _ := ctx.Value(userKey{}).(User)
	return u
}

// identify returns who makes a request. ok is false if a login is needed first.
func (s *Server) identify(r *http.Request) (user User, ok bool, err error) {
	if token, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); found {
		if !strings.HasPrefix(r.URL.Path, apiPrefix) {
			return User{}, false, nil
		}
		user, ok = s.access.byToken(token)
		return user, ok, nil
	}
	if user, ok = s.access.byProxy(r); ok {
		if user.Role == NoRole {
			return user, false, errNoRole
		}
		return user, true, nil
	}
	if cookie, err := r.Cookie(cookieName(s.secure)); err == nil {
		// What the page asks by itself keeps no session alive.
		byItself := r.Header.Get("HX-Request") != "" && r.Method == http.MethodGet || r.URL.Path == livePath
		if user, ok = s.sessions.find(cookie.Value, !byItself); ok {
			return user, true, nil
		}
	}
	if !s.access.hasLogin() {
		if err := localOnly(r); err != nil {
			return User{}, false, err
		}
		return User{Role: Viewer}, true, nil
	}
	return User{}, false, nil
}

var errNoRole = errors.New("your account has no role in this console; ask the administrator to add you to console.viewers")

// authenticated lets requests of users through, within their limits.
func (s *Server) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, ok, err := s.identify(r)
		switch {
		case err != nil:
			s.fail(w, r, http.StatusForbidden, err)
		case !s.requests.allow(clientOf(r, user)):
			w.Header().Set("Retry-After", "2")
			s.fail(w, r, http.StatusTooManyRequests, errors.New("too many requests in a short time; try again in some seconds"))
		case !ok:
			s.loginNeeded(w, r)
		default:
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, user)))
		}
	})
}

// loginNeeded sends a browser to the login, and answers programs and the page's
// own requests with 401.
func (s *Server) loginNeeded(w http.ResponseWriter, r *http.Request) {
	isPage := (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.Header.Get("HX-Request") == "" && r.URL.Path != livePath && !strings.HasPrefix(r.URL.Path, apiPrefix)
	if isPage && s.access.hasForm() {
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	}
	if strings.HasPrefix(r.URL.Path, apiPrefix) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="capture-worker"`)
	}
	s.fail(w, r, http.StatusUnauthorized, errors.New("your session has ended, or you are not logged in"))
}

// needs lets users of a role through. Acts are off for all if the console is
// read-only.
func (s *Server) needs(role Role, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch user := userOf(r.Context()); {
		case s.ReadOnly():
			s.fail(w, r, http.StatusForbidden, errors.New("this console is read-only"))
		case user.Role < role:
			s.fail(w, r, http.StatusForbidden, fmt.Errorf("this needs the role %s, and you are %s", role, user.Role))
		default:
			next(w, r)
		}
	}
}

// bounded answers at most maxInFlight requests at a time.
func bounded(next http.Handler) http.Handler {
	slots := make(chan struct{}, maxInFlight)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == livePath { // has a bound of its own
			next.ServeHTTP(w, r)
			return
		}
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})
}
