package console

import (
	"errors"
	"net/http"
)

// loginForm is the data of the login.
type loginForm struct {
	Wrong          string
	Password, OIDC bool // the ways to log in
}

// loginPage shows the form.
func (s *Server) loginPage(w http.ResponseWriter, r *http.Request) {
	if !s.access.hasForm() {
		s.fail(w, r, http.StatusNotFound, errors.New("this console has no login of its own"))
		return
	}
	s.showLogin(w, r, http.StatusOK, "")
}

func (s *Server) showLogin(w http.ResponseWriter, r *http.Request, code int, wrong string) {
	s.render(w, r, code, "login", &view{Title: "Log in", Data: loginForm{Wrong: wrong, Password: len(s.access.Users) > 0, OIDC: s.access.OIDC != nil}})
}

// passwords bounds how many hashes are computed at a time: each costs CPU time.
var passwords = make(chan struct{}, 2)

// login checks name and password and starts a session.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	if len(s.access.Users) == 0 {
		s.fail(w, r, http.StatusNotFound, errors.New("this console has no login of its own"))
		return
	}
	if !s.logins.allow(clientOf(r, User{})) {
		w.Header().Set("Retry-After", "30")
		s.fail(w, r, http.StatusTooManyRequests, errors.New("too many logins in a short time; try again in half a minute"))
		return
	}
	if err := r.ParseForm(); err != nil {
		s.fail(w, r, http.StatusBadRequest, errForm)
		return
	}
	select {
	case passwords <- struct{}{}:
		defer func() { <-passwords }()
	case <-r.Context().Done():
		return
	}
	name := r.PostForm.Get("name")
	if !s.access.checkPassword(name, r.PostForm.Get("password")) {
		s.log.Warn("login refused")
		s.showLogin(w, r, http.StatusUnauthorized, "The name or the password is not right.")
		return
	}
	s.beginSession(w, r, User{Name: name, Role: s.access.roleOf(name, nil)})
}

// beginSession logs a user in who has a role.
func (s *Server) beginSession(w http.ResponseWriter, r *http.Request, user User) {
	if user.Role == NoRole {
		s.fail(w, r, http.StatusForbidden, errNoRole)
		return
	}
	setCookie(w, cookieName(s.secure), "/", s.secure, s.sessions.begin(user), s.sessions.life)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// logout ends the session.
func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	if key := userOf(r.Context()).session; key != "" {
		s.sessions.end(key)
	}
	setCookie(w, cookieName(s.secure), "/", s.secure, "", 0)
	target := "/"
	if s.access.hasForm() {
		target = "/login"
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
}

var errForm = errors.New("the form could not be read")
