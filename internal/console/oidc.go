package console

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// OIDC is an OpenID Connect provider. Browsers come back to Options.URL with
// /oidc/callback.
type OIDC struct {
	Issuer, ClientID, ClientSecret string
	Scopes                         []string // beside openid
	NameClaim, GroupsClaim         string   // claims of the ID token

	once sync.Mutex
	at   *provider // once the provider has answered
}

// provider is what the provider says about itself.
type provider struct {
	config   oauth2.Config
	verifier *oidc.IDTokenVerifier
}

const (
	// providerTimeout bounds one request to the provider.
	providerTimeout = 10 * time.Second
	// loginLife is how long a login at the provider may take.
	loginLife = 10 * time.Minute
	loginName = "capture-login"
)

// providerClient has a bound for every request, and follows no redirect.
var providerClient = &http.Client{
	Timeout:       providerTimeout,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// discover returns the provider. It is asked at the first login, so that the
// console starts without it.
func (o *OIDC) discover(redirect string) (*provider, error) {
	o.once.Lock()
	defer o.once.Unlock()
	if o.at != nil {
		return o.at, nil
	}
	// The provider's keys are read again with this context, for as long as it is used.
	found, err := oidc.NewProvider(oidc.ClientContext(context.Background(), providerClient), o.Issuer)
	if err != nil {
		return nil, fmt.Errorf("asking the provider %s about itself: %w", o.Issuer, err)
	}
	o.at = &provider{
		config: oauth2.Config{
			ClientID: o.ClientID, ClientSecret: o.ClientSecret, Endpoint: found.Endpoint(), RedirectURL: redirect,
			Scopes: append([]string{oidc.ScopeOpenID}, o.Scopes...),
		},
		verifier: found.Verifier(&oidc.Config{ClientID: o.ClientID}),
	}
	return o.at, nil
}

// providerOf returns the provider, or answers with an error.
func (s *Server) providerOf(w http.ResponseWriter, r *http.Request) (*provider, bool) {
	p, err := s.access.OIDC.discover(strings.TrimSuffix(s.o.URL, "/") + "/oidc/callback")
	if err != nil {
		s.log.Error("login provider not usable", "error", err)
		s.fail(w, r, http.StatusBadGateway, errors.New("the provider of the login does not answer; try again"))
		return nil, false
	}
	return p, true
}

// oidcLogin sends a browser to the provider. What comes back is bound to it by a
// cookie with the state, the nonce and the verifier of PKCE.
func (s *Server) oidcLogin(w http.ResponseWriter, r *http.Request) {
	if !s.logins.allow(clientOf(r, User{})) {
		s.fail(w, r, http.StatusTooManyRequests, errors.New("too many logins in a short time; try again in half a minute"))
		return
	}
	p, ok := s.providerOf(w, r)
	if !ok {
		return
	}
	state, nonce, verifier := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	s.setLoginCookie(w, strings.Join([]string{state, nonce, verifier}, "."))
	http.Redirect(w, r, p.config.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)), http.StatusSeeOther)
}

// setLoginCookie keeps a login that is under way, or ends it.
func (s *Server) setLoginCookie(w http.ResponseWriter, value string) {
	setCookie(w, loginName, "/oidc/", s.secure, value, loginLife)
}

var errLogin = errors.New("the login did not succeed; begin it again")

// oidcCallback takes what the provider says of a user, and starts a session.
func (s *Server) oidcCallback(w http.ResponseWriter, r *http.Request) {
	p, ok := s.providerOf(w, r)
	if !ok {
		return
	}
	user, err := s.oidcUser(r, p)
	s.setLoginCookie(w, "")
	if err != nil {
		s.log.Warn("login refused", "error", err)
		s.fail(w, r, http.StatusUnauthorized, errLogin)
		return
	}
	s.beginSession(w, r, user)
}

// oidcUser exchanges the code and verifies the ID token.
func (s *Server) oidcUser(r *http.Request, p *provider) (User, error) {
	cookie, err := r.Cookie(loginName)
	if err != nil {
		return User{}, errors.New("no login is under way in this browser")
	}
	begun, q := strings.Split(cookie.Value, "."), r.URL.Query()
	if len(begun) != 3 || subtle.ConstantTimeCompare([]byte(begun[0]), []byte(q.Get("state"))) != 1 {
		return User{}, errors.New("the state is not that of the login of this browser")
	}
	if code := q.Get("error"); code != "" {
		return User{}, fmt.Errorf("the provider says %.40q", code)
	}
	ctx := oidc.ClientContext(r.Context(), providerClient)
	token, err := p.config.Exchange(ctx, q.Get("code"), oauth2.VerifierOption(begun[2]))
	if err != nil {
		return User{}, fmt.Errorf("exchanging the code: %w", withoutBody(err))
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return User{}, errors.New("the provider gave no ID token")
	}
	id, err := p.verifier.Verify(ctx, raw)
	if err != nil {
		return User{}, fmt.Errorf("verifying the ID token: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(begun[1])) != 1 {
		return User{}, errors.New("the ID token is of another login")
	}
	return s.access.byClaims(id)
}

// withoutBody leaves out what the provider wrote, which may hold a secret.
func withoutBody(err error) error {
	if failed, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return fmt.Errorf("the provider answers %s, code %.40q", failed.Response.Status, failed.ErrorCode)
	}
	return err
}

// byClaims returns the user of an ID token.
func (a *Access) byClaims(id *oidc.IDToken) (User, error) {
	var claims map[string]any
	if err := id.Claims(&claims); err != nil {
		return User{}, fmt.Errorf("reading the claims: %w", err)
	}
	name, _ := claims[a.OIDC.NameClaim].(string)
	if !validName(name) {
		return User{}, fmt.Errorf("the claim %s names no user", a.OIDC.NameClaim)
	}
	// An address that the provider has not verified may be another user's.
	if verified, _ := claims["email_verified"].(bool); a.OIDC.NameClaim == "email" && !verified {
		return User{}, errors.New("the email is not verified")
	}
	var groups []string
	list, _ := claims[a.OIDC.GroupsClaim].([]any)
	for _, group := range list {
		if text, ok := group.(string); ok {
			groups = append(groups, text)
		}
	}
	return User{Name: name, Role: a.roleOf(name, groups)}, nil
}
