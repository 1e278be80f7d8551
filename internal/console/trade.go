package console

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/history"
	"github.com/capture-worker/capture-worker/internal/records"
)

// maxEvents bounds the events of one trade that a page shows.
const maxEvents = records.MaxLimit

// tradePage is the data of a trade.
type tradePage struct {
	records.Trade
	Verdict history.Verdict
	Summary history.Summary
	Orders  []string
	Lines   []line
	More    bool   // there are more events than are shown
	Job     string // as JSON
	Letters []records.DeadLetter
	Done    []records.Act
	Offers  []offer
	Fresh   *asked // Order Query's answer, if it was asked for
}

// line is one event in the timeline.
type line struct {
	history.Line
	Seq  uint64
	Raw  string
	Hash string // SHA-256 of the event as the ledger holds it
	Flaw string
}

// readTrade reads all that a page shows of a trade.
func (s *Server) readTrade(ctx context.Context, id string) (tradePage, error) {
	var page tradePage
	var err error
	if page.Trade, _, err = s.o.Records.Trade(ctx, id); err != nil {
		return page, err
	}
	events, err := s.o.Records.Events(ctx, id, records.Page{Limit: maxEvents})
	if err != nil {
		return page, err
	}
	page.More = events.Next != ""
	page.tell(events.Items, s)
	letters, err := s.o.Records.DeadLetters(ctx, records.LetterQuery{Trade: id}, records.Page{})
	if err != nil {
		return page, err
	}
	page.Letters = letters.Items
	done, err := s.o.Records.Acts(ctx, records.ActQuery{Trade: id}, records.Page{})
	page.Done = done.Items
	return page, err
}

// tell makes the answer and the timeline of the events, as `show` does. An event
// that is not one stays in the timeline and is not folded.
func (p *tradePage) tell(stored []records.Event, s *Server) {
	var events []capture.Event
	for _, e := range stored {
		if event, err := capture.DecodeEvent(e.Raw); err == nil {
			events = append(events, event)
		}
	}
	told := history.New(p.Key, events, s.o.Policy)
	state := capture.Fold(events)
	p.Verdict, p.Summary, p.Orders = history.VerdictOf(state), told.Summary(s.now()), capture.Orders(events)
	if state.Job.TradeID != "" {
		text, err := json.MarshalIndent(state.Job, "", "  ")
		if err == nil {
			p.Job = string(text)
		}
	}
	lines, next := told.Lines(), 0
	for _, e := range stored {
		sum := sha256.Sum256(e.Raw)
		l := line{Seq: e.Seq, Raw: pretty(e.Raw), Hash: hex.EncodeToString(sum[:]), Flaw: e.Flaw}
		if next < len(lines) && lines[next].Event.ID == e.ID && e.Flaw != records.FlawUnreadable {
			l.Line = lines[next]
			next++
		} else {
			l.Event = capture.Event{Type: e.Type, Time: e.At}
		}
		p.Lines = append(p.Lines, l)
	}
}

func (s *Server) trade(w http.ResponseWriter, r *http.Request) {
	s.showTrade(w, r, nil)
}

// showTrade shows a trade, with the answer of Order Query if one was asked for.
func (s *Server) showTrade(w http.ResponseWriter, r *http.Request, answer *asked) {
	v := s.livePage(r, "", "search")
	page, ok := s.openTrade(w, r)
	if !ok {
		return
	}
	page.Fresh = answer
	page.Offers = s.offers(userOf(r.Context()), page.Trade)
	v.Title, v.Live = "Trade "+page.TradeID, livePlace(page.Key, place{page.LastSeq, v.Status.Letters})
	s.render(w, r, http.StatusOK, "trade", v.with(page))
}

// openTrade reads the trade of the path, or answers with an error.
func (s *Server) openTrade(w http.ResponseWriter, r *http.Request) (tradePage, bool) {
	id := r.PathValue("trade")
	if !capture.ValidTradeID(id) {
		s.fail(w, r, http.StatusBadRequest, errNoTrade)
		return tradePage{}, false
	}
	page, err := s.readTrade(r.Context(), id)
	if err != nil {
		s.internal(w, r, "trade "+id, err)
		return tradePage{}, false
	}
	return page, true
}

// proof shows a trade on one page that can be printed and filed.
func (s *Server) proof(w http.ResponseWriter, r *http.Request) {
	page, ok := s.openTrade(w, r)
	if !ok {
		return
	}
	s.render(w, r, http.StatusOK, "proof", &view{Title: "Proof of trade " + page.TradeID, Nav: "search", Data: page})
}

// tradeJSON returns the events as the ledger holds them.
func (s *Server) tradeJSON(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("trade")
	if !capture.ValidTradeID(id) {
		s.fail(w, r, http.StatusBadRequest, errNoTrade)
		return
	}
	events, err := s.o.Records.Events(r.Context(), id, records.Page{Limit: maxEvents})
	if err == nil && len(events.Items) == 0 {
		err = records.ErrNotFound
	}
	if err != nil {
		s.internal(w, r, "the events of trade "+id, err)
		return
	}
	for i := range events.Items {
		if e := &events.Items[i]; !json.Valid(e.Raw) {
			e.Raw, _ = json.Marshal(strings.ToValidUTF8(string(e.Raw), "\uFFFD")) // a text always encodes
		}
	}
	w.Header().Set("Content-Disposition", `attachment; filename="trade-`+capture.TradeKey(id)+`.json"`)
	writeJSON(w, http.StatusOK, events)
}
