package console

import (
	"errors"
	"net/http"
)

// loginPage shows the form.
func (s *Server) loginPage(w http.ResponseWriter, r *http.Request) {
	if len(s.access.Users) == 0 {
		s.fail(w, r, http.StatusNotFound, errors.New("this console has no login of its own"))
		return
	}
	s.render(w, r, http.StatusOK, "login", &view{Title: "Log in", Data: ""})
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
		s.render(w, r, http.StatusUnauthorized, "login", &view{Title: "Log in", Data: "The name or the password is not right."})
		return
	}
	user := User{Name: name, Role: s.access.roleOf(name, nil)}
	if user.Role == NoRole {
		s.fail(w, r, http.StatusForbidden, errNoRole)
		return
	}
	setCookie(w, s.secure, s.sessions.begin(user), s.sessions.life)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// logout ends the session.
func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	if key := userOf(r.Context()).session; key != "" {
		s.sessions.end(key)
	}
	setCookie(w, s.secure, "", 0)
	target := "/"
	if len(s.access.Users) > 0 {
		target = "/login"
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
}

var errForm = errors.New("the form could not be read")
