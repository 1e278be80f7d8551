package console

import (
	"embed"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/history"
	"github.com/capture-worker/capture-worker/internal/records"
)

const apiPrefix = "/api/"

//go:embed openapi.json
var openAPI embed.FS

func (s *Server) apiRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/v1/openapi.json", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		http.ServeFileFS(w, r, openAPI, "openapi.json")
	})
	mux.HandleFunc("POST /api/v1/search", s.apiSearch)
	mux.HandleFunc("GET /api/v1/trades/{trade}", s.apiTrade)
	mux.HandleFunc("GET /api/v1/cases", s.apiCases)
	mux.HandleFunc("GET /api/v1/dead-letters", s.apiLetters)
	mux.HandleFunc(apiPrefix, func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, http.StatusNotFound, errors.New("there is no such operation; GET /api/v1/openapi.json lists them"))
	})
}

// apiSearch finds trades by an id, which is in the body: it may be personal data.
func (s *Server) apiSearch(w http.ResponseWriter, r *http.Request) {
	var q struct {
		ID     string `json:"id"`
		Limit  int    `json:"limit"`
		Cursor string `json:"cursor"`
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil || strings.TrimSpace(q.ID) == "" || len(q.ID) > maxQuery || q.Limit < 0 {
		s.fail(w, r, http.StatusBadRequest, errors.New(`the body must be JSON such as {"id": "A-1001"}`))
		return
	}
	found, err := s.o.Records.FindTrades(r.Context(), strings.TrimSpace(q.ID), records.Page{Limit: q.Limit, Cursor: q.Cursor})
	s.apiAnswer(w, r, "the search", found, err)
}

func (s *Server) apiAnswer(w http.ResponseWriter, r *http.Request, what string, v any, err error) {
	if err != nil {
		s.internal(w, r, what, err)
		return
	}
	writeJSON(w, http.StatusOK, v)
}

// apiTradeAnswer is a trade with the answer of its page.
type apiTradeAnswer struct {
	records.Trade
	Verdict history.Verdict `json:"verdict"`
	State   string          `json:"state"`
	Why     string          `json:"why,omitempty"`
	Next    string          `json:"next,omitempty"`
	AsOf    uint64          `json:"as_of"`
	Missing uint64          `json:"missing"` // events that the records do not hold yet
}

func (s *Server) apiTrade(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("trade")
	if !capture.ValidTradeID(id) {
		s.fail(w, r, http.StatusBadRequest, errNoTrade)
		return
	}
	page, err := s.readTrade(r.Context(), id)
	now := s.statusNow(r.Context())
	s.apiAnswer(w, r, "trade "+id, apiTradeAnswer{
		Trade: page.Trade, Verdict: page.Verdict, State: page.Summary.State, Why: page.Summary.Why, Next: page.Summary.Next,
		AsOf: now.Applied, Missing: now.Missing,
	}, err)
}

// pageOf reads limit and cursor of a query.
func pageOf(r *http.Request) (records.Page, error) {
	q := r.URL.Query()
	p := records.Page{Cursor: q.Get("cursor")}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > records.MaxLimit {
			return p, errors.New("limit must be from 1 to 1000")
		}
		p.Limit = n
	}
	return p, nil
}

func (s *Server) apiCases(w http.ResponseWriter, r *http.Request) {
	page, err := pageOf(r)
	q := r.URL.Query()
	query := records.CaseQuery{Kind: q.Get("kind"), Reason: q.Get("reason"), Currency: q.Get("currency"), ByAge: q.Get("order") == "age"}
	switch query.Kind {
	case records.CaseParked, records.CaseOpen, records.CaseContradicted:
	default:
		err = errors.New("kind must be parked, open or contradicted")
	}
	if err != nil {
		s.fail(w, r, http.StatusBadRequest, err)
		return
	}
	found, err := s.o.Records.ListCases(r.Context(), query, page)
	s.apiAnswer(w, r, "the cases", found, err)
}

func (s *Server) apiLetters(w http.ResponseWriter, r *http.Request) {
	page, err := pageOf(r)
	if err != nil {
		s.fail(w, r, http.StatusBadRequest, err)
		return
	}
	found, err := s.o.Records.DeadLetters(r.Context(), records.LetterQuery{Waiting: r.URL.Query().Get("all") == ""}, page)
	s.apiAnswer(w, r, "the dead letters", found, err)
}
