package console

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/acts"
	"github.com/capture-worker/capture-worker/internal/records"
)

const (
	recentTrades = 20
	pageSize     = 50
	// maxQuery bounds what is searched for: no id is longer.
	maxQuery = 256
)

var errNoTrade = errors.New("a trade_id has 1 to 64 of A-Z, a-z, 0-9, _ and -")

// searchPage is the data of the search.
type searchPage struct {
	Query  string
	Asked  bool
	Found  records.List[records.Trade]
	Recent records.List[records.Trade]
	// Letters are pending dead letters about what was searched for.
	Letters []records.DeadLetter
}

func (s *Server) home(w http.ResponseWriter, r *http.Request) {
	v := s.livePage(r, "Search", "search")
	recent, err := s.o.Records.FindTrades(r.Context(), "", records.Page{Limit: recentTrades})
	if err != nil {
		s.internal(w, r, "the recent trades", err)
		return
	}
	s.render(w, r, http.StatusOK, "search", v.with(searchPage{Recent: recent}))
}

// search finds trades by any of their ids. What is searched for is in no URL: it
// may be personal data.
func (s *Server) search(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		s.fail(w, r, http.StatusBadRequest, errForm)
		return
	}
	page := searchPage{Query: strings.TrimSpace(r.PostForm.Get("q")), Asked: true}
	if page.Query == "" || len(page.Query) > maxQuery {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	found, err := s.o.Records.FindTrades(r.Context(), page.Query, records.Page{Limit: pageSize})
	if err == nil && len(found.Items) == 1 {
		http.Redirect(w, r, tradePath(found.Items[0].Key), http.StatusSeeOther)
		return
	}
	if err == nil {
		page.Found = found
		page.Letters, err = s.lettersAbout(r, page.Query)
	}
	if err != nil {
		s.internal(w, r, "the search", err)
		return
	}
	s.render(w, r, http.StatusOK, "search", &view{Title: "Search", Nav: "search", Data: page})
}

// lettersAbout returns the dead letters about an order or a trade.
func (s *Server) lettersAbout(r *http.Request, id string) ([]records.DeadLetter, error) {
	of, err := s.o.Records.DeadLetters(r.Context(), records.LetterQuery{Order: id, Newest: true}, records.Page{Limit: 10})
	if err != nil {
		return nil, err
	}
	about, err := s.o.Records.DeadLetters(r.Context(), records.LetterQuery{Trade: id, Newest: true}, records.Page{Limit: 10})
	return append(of.Items, about.Items...), err
}

func tradePath(key string) string { return "/trades/" + key }

// workPage is the data of the work list.
type workPage struct {
	Kind, Reason, Currency string
	ByAge                  bool
	Tabs                   []workTab
	Sums                   []records.CaseSum // of the kind
	List                   records.List[records.Trade]
	Next                   string // the address of the next page
	Attention              time.Duration
	Approvals              []approvalRequest
	MayApprove             bool
}

// workTab is one kind of cases.
type workTab struct {
	Kind  string
	Count int64
	Here  bool
}

// work lists the trades that are not settled.
func (s *Server) work(w http.ResponseWriter, r *http.Request) {
	v := s.livePage(r, "Work list", "work")
	q := r.URL.Query()
	page := workPage{Kind: q.Get("kind"), Reason: q.Get("reason"), Currency: q.Get("currency"), ByAge: q.Get("order") == "age", Attention: s.o.AttentionAfter}
	if page.Kind == "" {
		page.Kind = records.CaseParked
	}
	page.Approvals, page.MayApprove = s.approvals.list(s.now()), !s.ReadOnly() && userOf(r.Context()).Role >= Approver
	sums, err := s.o.Records.SumCases(r.Context())
	if err != nil {
		s.internal(w, r, "the sums of the work list", err)
		return
	}
	for _, kind := range []string{records.CaseParked, records.CaseContradicted, records.CaseOpen} {
		tab := workTab{Kind: kind, Here: kind == page.Kind}
		for _, sum := range sums.Items {
			if sum.Kind == kind {
				tab.Count += sum.Total.Trades
			}
		}
		page.Tabs = append(page.Tabs, tab)
	}
	for _, sum := range sums.Items {
		if sum.Kind == page.Kind {
			page.Sums = append(page.Sums, sum)
		}
	}
	query := records.CaseQuery{Kind: page.Kind, Reason: page.Reason, Currency: page.Currency, ByAge: page.ByAge}
	page.List, err = s.o.Records.ListCases(r.Context(), query, records.Page{Limit: pageSize, Cursor: q.Get("cursor")})
	if err != nil {
		s.internal(w, r, "the work list", err)
		return
	}
	if page.List.Next != "" {
		q.Set("cursor", page.List.Next)
		page.Next = "/work?" + q.Encode()
	}
	s.render(w, r, http.StatusOK, "work", v.with(page))
}

// lettersPage is the data of the list of dead letters.
type lettersPage struct {
	All  bool
	List records.List[records.DeadLetter]
	Rows []letterRow
	Next string
}

// letterRow is a dead letter, and how what it is about stands meanwhile.
type letterRow struct {
	records.DeadLetter
	Meanwhile []records.Trade
}

// letters lists the dead letters: those that wait, or all.
func (s *Server) letters(w http.ResponseWriter, r *http.Request) {
	v := s.livePage(r, "Dead letters", "letters")
	q := r.URL.Query()
	page := lettersPage{All: q.Get("all") != ""}
	var err error
	page.List, err = s.o.Records.DeadLetters(r.Context(), records.LetterQuery{Waiting: !page.All, Newest: page.All}, records.Page{Limit: pageSize, Cursor: q.Get("cursor")})
	for i := 0; err == nil && i < len(page.List.Items); i++ {
		row := letterRow{DeadLetter: page.List.Items[i]}
		row.Meanwhile, err = s.meanwhile(r, row.DeadLetter)
		page.Rows = append(page.Rows, row)
	}
	if err != nil {
		s.internal(w, r, "the dead letters", err)
		return
	}
	if page.List.Next != "" {
		q.Set("cursor", page.List.Next)
		page.Next = "/dead-letters?" + q.Encode()
	}
	s.render(w, r, http.StatusOK, "letters", v.with(page))
}

// meanwhile returns the trades that a dead letter is about: its own, and those of
// its order.
func (s *Server) meanwhile(r *http.Request, l records.DeadLetter) ([]records.Trade, error) {
	var trades []records.Trade
	if l.OrderID != "" {
		of, err := s.o.Records.TradesOfOrder(r.Context(), l.OrderID, records.Page{Limit: 3})
		if err != nil {
			return nil, err
		}
		trades = of.Items
	}
	for _, t := range trades {
		if t.Key == l.Trade {
			return trades, nil
		}
	}
	if l.Trade == "" {
		return trades, nil
	}
	own, _, err := s.o.Records.Trade(r.Context(), l.Trade)
	switch {
	case errors.Is(err, records.ErrNotFound):
		return trades, nil
	case err != nil:
		return nil, err
	}
	return append(trades, own), nil
}

// actsPage is the data of the list of acts.
type actsPage struct {
	Act   acts.Kind
	Kinds []acts.Kind
	List  records.List[records.Act]
	Next  string
}

// acts lists what operators did.
func (s *Server) listActs(w http.ResponseWriter, r *http.Request) {
	v := s.livePage(r, "Acts of operators", "acts")
	q := r.URL.Query()
	page := actsPage{Act: acts.Kind(q.Get("act")), Kinds: acts.Kinds()}
	var err error
	page.List, err = s.o.Records.Acts(r.Context(), records.ActQuery{Act: page.Act}, records.Page{Limit: pageSize, Cursor: q.Get("cursor")})
	if err != nil {
		s.internal(w, r, "the acts", err)
		return
	}
	if page.List.Next != "" {
		q.Set("cursor", page.List.Next)
		page.Next = "/acts?" + q.Encode()
	}
	s.render(w, r, http.StatusOK, "acts", v.with(page))
}

// isOpen reports whether a trade has no outcome.
func isOpen(p capture.Phase) bool {
	return p != capture.PhaseCaptured && p != capture.PhaseFailed && p != capture.PhaseParked
}
