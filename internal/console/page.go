package console

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/capture-worker/capture-worker/internal/records"
)

//go:embed assets templates
var files embed.FS

// assets serves the style sheet and the scripts. They change with the program
// only; the name in the page has its version.
func assets() http.Handler {
	serve := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if info, err := fs.Stat(files, strings.TrimPrefix(r.URL.Path, "/")); err != nil || info.IsDir() {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=3600")
		serve.ServeHTTP(w, r)
	})
}

// view is what every page shows.
type view struct {
	Title   string
	Nav     string // the entry of the menu that is the current one
	Live    string // the path of live updates, "" for none
	Path    string // of the page, from which it loads itself again
	User    User
	Acts    bool // the user may act
	Login   bool // there is a login, and so a logout
	Status  status
	Version string
	Now     time.Time
	Data    any
}

// pages are the parsed templates by name.
type pages map[string]*template.Template

func parsePages() (pages, error) {
	base, err := template.New("").Funcs(functions).ParseFS(files, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, err
	}
	all := pages{}
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return nil, err
	}
	for _, path := range names {
		name := strings.TrimSuffix(strings.TrimPrefix(path, "templates/"), ".html")
		if name == "layout" || name == "parts" {
			continue
		}
		page, err := base.Clone()
		if err == nil {
			page, err = page.ParseFS(files, path)
		}
		if err != nil {
			return nil, fmt.Errorf("page %s: %w", name, err)
		}
		all[name] = page
	}
	return all, nil
}

// render writes a page.
func (s *Server) render(w http.ResponseWriter, r *http.Request, code int, name string, v *view) {
	v.User, v.Login, v.Version, v.Now, v.Path = userOf(r.Context()), s.access.hasForm(), s.o.Version, s.now().UTC(), r.URL.RequestURI()
	v.Acts = !s.ReadOnly() && v.User.Role >= Operator
	if v.Status.Refreshed.IsZero() && name != "login" && name != "problem" {
		v.Status = s.statusNow(r.Context())
	}
	var b bytes.Buffer
	if err := s.pages[name].ExecuteTemplate(&b, "layout", v); err != nil {
		s.log.Error("page not rendered", "page", name, "error", err)
		http.Error(w, "the page could not be made; the error is in the console's log", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write(b.Bytes()) // the client may be gone
}

// livePage returns the view of a page that updates itself. It is made before what
// the page shows is read, so that no change between is missed.
func (s *Server) livePage(r *http.Request, title, nav string) *view {
	now := s.statusNow(r.Context())
	return &view{Title: title, Nav: nav, Status: now, Live: livePlace("", place{now.Applied, now.Letters})}
}

// with returns the view with its data.
func (v *view) with(data any) *view {
	v.Data = data
	return v
}

// problem is the data of the page of an error.
type problem struct {
	Code  int
	Text  string
	Login bool // a login would help
}

// fail answers with an error: a page, or JSON for programs.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, code int, err error) {
	if strings.HasPrefix(r.URL.Path, apiPrefix) {
		writeJSON(w, code, map[string]any{"error": err.Error()})
		return
	}
	s.render(w, r, code, "problem", &view{Title: http.StatusText(code), Data: problem{code, sentence(err.Error()), code == http.StatusUnauthorized && s.access.hasForm()}})
}

// internal answers with an error of the records or of NATS.
func (s *Server) internal(w http.ResponseWriter, r *http.Request, what string, err error) {
	switch {
	case r.Context().Err() != nil && errors.Is(err, r.Context().Err()):
		s.fail(w, r, http.StatusGatewayTimeout, fmt.Errorf("%s took too long; try again", what))
	case errors.Is(err, records.ErrNotFound):
		s.fail(w, r, http.StatusNotFound, fmt.Errorf("%s: the records do not have it", what))
	case errors.Is(err, records.ErrCursor):
		s.fail(w, r, http.StatusBadRequest, errors.New("this page of the list is not there; begin at its first page"))
	default:
		s.log.Error("page failed", "what", what, "error", err)
		s.fail(w, r, http.StatusServiceUnavailable, fmt.Errorf("%s: %w", what, err))
	}
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, "the answer could not be encoded", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(text, '\n')) // the client may be gone
}

var statusTemplate = template.Must(template.New("").Funcs(functions).ParseFS(files, "templates/parts.html"))

func renderStatus(now status) (string, error) {
	var b strings.Builder
	err := statusTemplate.ExecuteTemplate(&b, "status", now)
	return b.String(), err
}

func isChanged(err error) bool { return errors.Is(err, records.ErrRebuild) }
