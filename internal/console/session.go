package console

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"sync"
	"time"
)

const (
	// maxSessions bounds the memory for sessions; the oldest one ends when a new one
	// would be above it.
	maxSessions    = 10_000
	defaultSession = 10 * time.Hour
	defaultIdle    = time.Hour
)

// sessions holds who is logged in. They are in memory: a restart ends them.
type sessions struct {
	life, idle time.Duration
	now        func() time.Time

	mu  sync.Mutex
	all map[string]*session // by the SHA-256 of the cookie's value
}

type session struct {
	user       User
	began, use time.Time
}

func newSessions(life, idle time.Duration, now func() time.Time) *sessions {
	if life <= 0 {
		life = defaultSession
	}
	if idle <= 0 {
		idle = defaultIdle
	}
	return &sessions{life: life, idle: idle, now: now, all: map[string]*session{}}
}

func sessionKey(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// begin starts a session and returns the value of its cookie.
func (s *sessions) begin(user User) string {
	secret := rand.Text()
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= maxSessions {
		s.sweep(now)
	}
	user.session = sessionKey(secret)
	s.all[user.session] = &session{user: user, began: now, use: now}
	return secret
}

// sweep removes the sessions that have ended, and the oldest one if none has.
func (s *sessions) sweep(now time.Time) {
	oldest, least := "", now
	for key, one := range s.all {
		if s.ended(one, now) {
			delete(s.all, key)
		} else if one.use.Before(least) {
			oldest, least = key, one.use
		}
	}
	if len(s.all) >= maxSessions {
		delete(s.all, oldest)
	}
}

func (s *sessions) ended(one *session, now time.Time) bool {
	return now.Sub(one.began) >= s.life || now.Sub(one.use) >= s.idle
}

// find returns the user of a session that has not ended. used says that the user
// made the request, so that the session is not idle.
func (s *sessions) find(secret string, used bool) (User, bool) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	key := sessionKey(secret)
	one, ok := s.all[key]
	if !ok {
		return User{}, false
	}
	if s.ended(one, now) {
		delete(s.all, key)
		return User{}, false
	}
	if used {
		one.use = now
	}
	return one.user, true
}

// end ends a session.
func (s *sessions) end(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, key)
}

// cookieName has the prefix that browsers accept over TLS only, if it is used.
func cookieName(secure bool) string {
	if secure {
		return "__Host-capture-console"
	}
	return "capture-console"
}

// setCookie sets a cookie of the console, or removes it if the value is "".
func setCookie(w http.ResponseWriter, name, path string, secure bool, value string, life time.Duration) {
	c := &http.Cookie{
		Name: name, Value: value, Path: path, HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode, MaxAge: int(life.Seconds()),
	}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}
