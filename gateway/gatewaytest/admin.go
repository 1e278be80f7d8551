package gatewaytest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/capture-worker/capture-worker/gateway"
)

// maxAdminBody is the largest body on the admin path: about 500,000 trades.
const maxAdminBody = 64 << 20

func (s *Simulator) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+PaymentsPath, s.servePayments)
	admin := func(pattern string, handle http.HandlerFunc) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if !fromLoopback(r) {
				http.Error(w, "the admin path is for clients on this machine", http.StatusForbidden)
				return
			}
			r.Body = http.MaxBytesReader(w, r.Body, maxAdminBody)
			handle(w, r)
		})
	}
	admin("POST /_sim/trades", s.addTrades)
	admin("GET /_sim/trades", s.listTrades)
	admin("GET /_sim/trades/{id}", s.showTrade)
	admin("POST /_sim/script/{id}", s.addScript)
	admin("GET /_sim/faults", s.showFaults)
	admin("POST /_sim/faults", s.setFaults)
	admin("POST /_sim/secret", s.rotateSecret)
	admin("POST /_sim/reset", s.serveReset)
	admin("GET /_sim/stats", s.showStats)
	return mux
}

// rotateSecret reads {"secret":"…"}, a test key.
func (s *Simulator) rotateSecret(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Secret gateway.Secret `json:"secret"`
	}
	err := json.NewDecoder(r.Body).Decode(&body)
	if err == nil {
		err = s.SetSecret(body.Secret)
	}
	if err != nil {
		reply(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	reply(w, http.StatusOK, map[string]bool{"rotated": true})
}

func fromLoopback(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}

// reply answers with a value as JSON.
func reply(w http.ResponseWriter, status int, v any) {
	write(w, status, "application/json", append(encode(v), '\n'))
}

func refuse(w http.ResponseWriter, status int, err error) {
	reply(w, status, map[string]string{"error": err.Error()})
}

// oneOrMany reads a JSON array, or another value as an array of one element.
func oneOrMany[T any](r io.Reader) ([]T, error) {
	body, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("reading the body: %w", err)
	}
	body = bytes.TrimSpace(body)
	if bytes.HasPrefix(body, []byte("[")) {
		var many []T
		err := json.Unmarshal(body, &many)
		return many, err
	}
	one := make([]T, 1)
	return one, json.Unmarshal(body, &one[0])
}

func (s *Simulator) addTrades(w http.ResponseWriter, r *http.Request) {
	trades, err := oneOrMany[Trade](r.Body)
	if err == nil {
		err = s.AddTrades(trades...)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	reply(w, http.StatusCreated, map[string]int{"added": len(trades)})
}

func (s *Simulator) showTrade(w http.ResponseWriter, r *http.Request) {
	truth, ok := s.Truth(r.PathValue("id"))
	if !ok {
		refuse(w, http.StatusNotFound, errors.New("no such trade"))
		return
	}
	reply(w, http.StatusOK, truth)
}

// listTrades streams the truths as an array, or one per line if the client accepts
// application/x-ndjson or sends ?format=ndjson. ?captured=true selects captured trades,
// ?captured=false the others.
func (s *Simulator) listTrades(w http.ResponseWriter, r *http.Request) {
	before, between, after := "[", ",\n", "]\n"
	w.Header().Set("Content-Type", "application/json")
	if r.FormValue("format") == "ndjson" || strings.Contains(r.Header.Get("Accept"), "application/x-ndjson") {
		before, between, after = "", "\n", "\n"
		w.Header().Set("Content-Type", "application/x-ndjson")
	}
	only := r.FormValue("captured")
	io.WriteString(w, before)
	first := true
	for truth := range s.Truths() {
		if only != "" && (only == "true") != (len(truth.Captures) > 0) {
			continue
		}
		if !first {
			io.WriteString(w, between)
		}
		first = false
		if _, err := w.Write(encode(truth)); err != nil {
			return
		}
	}
	if !first || before != "" {
		io.WriteString(w, after)
	}
}

func (s *Simulator) addScript(w http.ResponseWriter, r *http.Request) {
	steps, err := oneOrMany[Step](r.Body)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	if err := s.Script(r.PathValue("id"), steps...); err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	reply(w, http.StatusOK, map[string]int{"added": len(steps)})
}

// showStats answers with the counts and the time at which they were read.
func (s *Simulator) showStats(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, struct {
		At time.Time `json:"at"`
		Stats
	}{s.opts.Clock(), s.Stats()})
}

func (s *Simulator) serveReset(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]int{"forgotten": s.Reset()})
}
