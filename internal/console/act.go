package console

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/history"
	"github.com/capture-worker/capture-worker/internal/records"
)

// Kinds of acts on a trade.
const (
	KindRelease  = "release"
	KindRetry    = "retry"
	KindDismiss  = "dismiss"
	KindWithdraw = "withdraw"
)

// Act is what an operator wants to do about a trade.
type Act struct {
	Kind   string
	Trade  string
	By     string // the authenticated name
	Note   string // the reason
	Before time.Time
	// ApprovedBy is the second operator of an act that needs one.
	ApprovedBy string
}

// LetterAct is what an operator wants to do about a dead letter.
type LetterAct struct {
	Letter   uint64
	By, Note string
	Body     []byte // the corrected job; nil: as it came
	// ReplaceTrade permits another trade or order than that of the dead letter.
	ReplaceTrade bool
}

// Preview is what an act would do, after Order Query was asked.
type Preview struct {
	Seq      uint64 // the trade's last event, on which this rests
	Answer   *capture.Answer
	Eligible bool
	Would    string // what would happen, or why nothing may
	Sum      capture.Amount
	Approval string // why an approver has to confirm it, "" if none has to
}

// Done is what an act did.
type Done struct {
	OK   bool
	Text string
}

// Lane is a kind of jobs and its backlog.
type Lane struct {
	Name      string
	About     string // how acts name it
	Ready     uint64
	Delivered int
	Paused    time.Time // until when, zero if it is not
	By, Note  string    // who paused it and why, if that is known
}

// Errors of Operations.
var (
	// ErrChanged says that another writer changed the trade after the preview.
	ErrChanged = errors.New("another operator or a worker has changed it meanwhile; nothing was done")
	// ErrApproval says that the act needs an approver, and none has confirmed it.
	ErrApproval = errors.New("the sum is above approval.above, and no approver has confirmed it")
	// ErrNoGateway says that the gateway is not configured.
	ErrNoGateway = errors.New("the gateway is not configured for the console: set gateway.url, gateway.user and gateway.secret_key")
)

// Operations has the actions of operators, with the same checks as the commands. Every method may be called concurrently.
type Operations interface {
	// Kinds lists the acts on trades that are supported.
	Kinds() []string
	// Look asks Order Query about a trade and writes nothing.
	Look(ctx context.Context, trade string) (Preview, error)
	// Preview asks Order Query and returns what the act would do. It writes nothing.
	Preview(ctx context.Context, a Act) (Preview, error)
	// Do carries an act out if the trade's last event is still seq.
	Do(ctx context.Context, a Act, seq uint64) (Done, error)
	// Republish publishes the job of a dead letter, corrected if it has a body.
	Republish(ctx context.Context, a LetterAct) (Done, error)
	// DismissLetter closes the case of a dead letter.
	DismissLetter(ctx context.Context, a LetterAct) (Done, error)
	// Lanes returns the lanes and their backlogs.
	Lanes(ctx context.Context) ([]Lane, error)
	// PauseLane stops the delivery of a lane's jobs until then; the zero time resumes it.
	PauseLane(ctx context.Context, lane string, until time.Time, by, note string) error
}

const (
	// ticketLife is how long an answer of Order Query counts as fresh.
	ticketLife = 2 * time.Minute
	maxNote    = 500
	// applyWait is how long a page waits for the records to have what was done.
	applyWait = 2 * time.Second
	maxPause  = 30 * 24 * time.Hour
)

func (s *Server) actRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST /trades/{trade}/ask", s.needs(Operator, s.ask))
	mux.HandleFunc("GET /trades/{trade}/{kind}", s.needs(Operator, s.actForm))
	mux.HandleFunc("POST /trades/{trade}/{kind}", s.needs(Operator, s.actOn))
	mux.HandleFunc("GET /approvals/{id}", s.needs(Approver, s.approvalForm))
	mux.HandleFunc("POST /approvals/{id}", s.needs(Approver, s.approve))
	mux.HandleFunc("POST /approvals/{id}/refuse", s.needs(Approver, s.refuseApproval))
	mux.HandleFunc("POST /dead-letters/{seq}/republish", s.needs(Operator, s.republish))
	mux.HandleFunc("POST /dead-letters/{seq}/dismiss", s.needs(Operator, s.dismissLetter))
	mux.HandleFunc("POST /lanes/{lane}/{verb}", s.needs(Operator, s.changeLane))
}

// offer is an act that a page offers.
type offer struct{ Kind, Label, Hint string }

var offerTexts = map[string]offer{
	KindRelease:  {KindRelease, "Release", "send it back to the workers, if the gateway still shows it authorized"},
	KindRetry:    {KindRetry, "Retry", "send it back to the workers although it failed"},
	KindDismiss:  {KindDismiss, "Close the case", "it was settled by other means"},
	KindWithdraw: {KindWithdraw, "Withdraw", "no capture is wanted any more"},
}

// offers returns the acts that fit a trade. Whether they are possible is decided
// when they are done, by the code of the commands.
func (s *Server) offers(user User, t records.Trade) []offer {
	if s.ReadOnly() || user.Role < Operator {
		return nil
	}
	var kinds []string
	switch {
	case t.Phase == capture.PhaseParked && !t.Dismissed:
		kinds = []string{KindRelease, KindDismiss, KindWithdraw}
	case t.Phase == capture.PhaseFailed:
		kinds = []string{KindRetry}
	case isOpen(t.Phase) && !t.Withdrawn:
		kinds = []string{KindWithdraw}
	}
	var all []offer
	for _, kind := range kinds {
		if slices.Contains(s.o.Operations.Kinds(), kind) {
			all = append(all, offerTexts[kind])
		}
	}
	return all
}

// asked is an answer of Order Query as a page shows it.
type asked struct {
	Preview
	At   time.Time
	Text string
}

func (s *Server) askedAt(p Preview) *asked {
	a := &asked{Preview: p, At: s.now().UTC()}
	if p.Answer != nil {
		a.Text = history.AnswerText(*p.Answer)
	}
	return a
}

// ask asks the gateway about a trade, and shows the answer.
func (s *Server) ask(w http.ResponseWriter, r *http.Request) {
	if !s.mayAsk(w, r) {
		return
	}
	id := r.PathValue("trade")
	if !capture.ValidTradeID(id) {
		s.fail(w, r, http.StatusBadRequest, errNoTrade)
		return
	}
	found, err := s.o.Operations.Look(r.Context(), id)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.showTrade(w, r, s.askedAt(found))
}

// mayAsk keeps a user from asking the gateway too often.
func (s *Server) mayAsk(w http.ResponseWriter, r *http.Request) bool {
	if s.asks.allow(clientOf(r, userOf(r.Context()))) {
		return true
	}
	w.Header().Set("Retry-After", "10")
	s.fail(w, r, http.StatusTooManyRequests, errors.New("too many queries to the gateway; try again in a few seconds"))
	return false
}

// refuse answers with the error of an act.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	code := http.StatusServiceUnavailable
	switch {
	case errors.Is(err, ErrChanged):
		code = http.StatusConflict
	case errors.Is(err, ErrNoGateway):
		code = http.StatusNotImplemented
	}
	s.log.Warn("act not done", "status", code, "error", err)
	s.fail(w, r, code, err)
}

// actPage is the data of the form of an act.
type actPage struct {
	records.Trade
	Offer  offer
	Action string // where the form is sent
	By     string // the operator, of an act that an approver confirms
	Note   string
	Before string
	Wrong  string // what is wrong with the form
	Fresh  *asked // Order Query's answer of the preview
	Token  string
	Done   *Done
}

// actForm shows the form of an act. Its button asks the gateway first.
func (s *Server) actForm(w http.ResponseWriter, r *http.Request) {
	page, ok := s.openAct(w, r)
	if ok {
		s.renderAct(w, r, http.StatusOK, page)
	}
}

func (s *Server) renderAct(w http.ResponseWriter, r *http.Request, code int, page actPage) {
	s.render(w, r, code, "act", &view{Title: page.Offer.Label + ": trade " + page.TradeID, Nav: "work", Data: page})
}

// openAct reads what the form of an act is about, or answers with an error.
func (s *Server) openAct(w http.ResponseWriter, r *http.Request) (actPage, bool) {
	kind, id := r.PathValue("kind"), r.PathValue("trade")
	page := actPage{Offer: offerTexts[kind], Action: r.URL.Path}
	if page.Offer.Kind == "" || !slices.Contains(s.o.Operations.Kinds(), kind) {
		s.fail(w, r, http.StatusNotFound, errors.New("there is no such act"))
		return page, false
	}
	if !capture.ValidTradeID(id) {
		s.fail(w, r, http.StatusBadRequest, errNoTrade)
		return page, false
	}
	var err error
	if page.Trade, _, err = s.o.Records.Trade(r.Context(), id); err != nil {
		s.internal(w, r, "trade "+id, err)
		return page, false
	}
	return page, true
}

// actOn previews an act and, if the form has the token of a preview, does it.
func (s *Server) actOn(w http.ResponseWriter, r *http.Request) {
	page, ok := s.openAct(w, r)
	if !ok {
		return
	}
	if err := r.ParseForm(); err != nil {
		s.fail(w, r, http.StatusBadRequest, errForm)
		return
	}
	page.Note, page.Before = strings.TrimSpace(r.PostForm.Get("note")), r.PostForm.Get("before")
	a := Act{Kind: page.Offer.Kind, Trade: page.Key, By: userOf(r.Context()).Name, Note: page.Note}
	if page.Wrong = wrongNote(page.Note); page.Wrong == "" && page.Before != "" {
		var err error
		if a.Before, err = time.Parse("2006-01-02T15:04", page.Before); err != nil || !a.Before.After(s.now()) {
			page.Wrong = "The new time must be in the future."
		}
	}
	if page.Wrong != "" {
		s.renderAct(w, r, http.StatusUnprocessableEntity, page)
		return
	}
	s.previewOrDo(w, r, page, a)
}

// previewOrDo previews an act or, with the token of a preview, does it. It reports
// whether the act was done.
func (s *Server) previewOrDo(w http.ResponseWriter, r *http.Request, page actPage, a Act) bool {
	if token := r.PostForm.Get("token"); token != "" {
		return s.carryOut(w, r, page, a, token)
	}
	if !s.mayAsk(w, r) {
		return false
	}
	found, err := s.o.Operations.Preview(r.Context(), a)
	if err != nil {
		s.refuse(w, r, err)
		return false
	}
	page.Fresh = s.askedAt(found)
	if found.Eligible {
		page.Token = s.ticket(found.Seq, a)
	}
	s.renderAct(w, r, http.StatusOK, page)
	return false
}

// carryOut does an act that was previewed, and reports whether it was done.
func (s *Server) carryOut(w http.ResponseWriter, r *http.Request, page actPage, a Act, token string) bool {
	seq, err := s.readTicket(token, a)
	if err != nil {
		page.Wrong = sentence(err.Error())
		s.renderAct(w, r, http.StatusConflict, page)
		return false
	}
	done, err := s.o.Operations.Do(r.Context(), a, seq)
	switch {
	case errors.Is(err, ErrApproval):
		s.askApproval(w, r, page, a)
		return false
	case err != nil:
		s.refuse(w, r, err)
		return false
	}
	s.log.Info("act done", "act", a.Kind, "trade_id", a.Trade, "done", done.OK)
	done.Text = sentence(done.Text)
	page.Done = &done
	s.awaitRecords(r.Context(), a.Trade, seq)
	if fresh, _, err := s.o.Records.Trade(r.Context(), a.Trade); err == nil {
		page.Trade = fresh
	}
	s.renderAct(w, r, http.StatusOK, page)
	return true
}

// awaitRecords waits a moment for the records to have an event of the trade after
// seq, so that the next page shows what was done.
func (s *Server) awaitRecords(ctx context.Context, trade string, seq uint64) {
	ctx, cancel := context.WithTimeout(ctx, applyWait)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		t, _, err := s.o.Records.Trade(ctx, trade)
		if err != nil || t.LastSeq > seq {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// wrongNote returns what is wrong with a reason, "" if nothing is.
func wrongNote(note string) string {
	switch {
	case note == "":
		return "A reason is required. It stays in the ledger, so it must hold no personal data."
	case utf8.RuneCountInString(note) > maxNote:
		return fmt.Sprintf("The reason has more than %d characters.", maxNote)
	case !utf8.ValidString(note), strings.ContainsFunc(note, func(r rune) bool { return !unicode.IsGraphic(r) }):
		return "The reason must be one line of plain text."
	}
	return ""
}

// ticket proves that a user saw the preview of an act as it is done, a short time
// ago.
func (s *Server) ticket(seq uint64, what any) string {
	until := s.now().Add(ticketLife).Unix()
	return fmt.Sprintf("%d.%d.%s", seq, until, s.ticketMAC(seq, until, what))
}

func (s *Server) ticketMAC(seq uint64, until int64, what any) string {
	mac := hmac.New(sha256.New, s.key[:])
	_ = json.NewEncoder(mac).Encode([]any{seq, until, what}) // of texts and times
	return hex.EncodeToString(mac.Sum(nil))
}

var (
	errStale  = errors.New("the gateway's answer is older than two minutes; ask again")
	errTicket = errors.New("what was entered is not what was checked; check it again")
)

func (s *Server) readTicket(token string, what any) (seq uint64, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return 0, errTicket
	}
	seq, errSeq := strconv.ParseUint(parts[0], 10, 64)
	until, errUntil := strconv.ParseInt(parts[1], 10, 64)
	if errSeq != nil || errUntil != nil || !hmac.Equal([]byte(parts[2]), []byte(s.ticketMAC(seq, until, what))) {
		return 0, errTicket
	}
	if s.now().Unix() > until {
		return 0, errStale
	}
	return seq, nil
}

// changeLane pauses or resumes a lane.
func (s *Server) changeLane(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		s.fail(w, r, http.StatusBadRequest, errForm)
		return
	}
	note := strings.TrimSpace(r.PostForm.Get("note"))
	if wrong := wrongNote(note); wrong != "" {
		s.fail(w, r, http.StatusUnprocessableEntity, errors.New(strings.TrimSuffix(wrong, ".")))
		return
	}
	var until time.Time
	switch verb := r.PathValue("verb"); verb {
	case "pause":
		hours, err := strconv.ParseFloat(r.PostForm.Get("hours"), 64)
		length := time.Duration(hours * float64(time.Hour))
		if err != nil || length <= 0 || length > maxPause {
			s.fail(w, r, http.StatusUnprocessableEntity, errors.New("the pause must be above 0 and not above 720 hours"))
			return
		}
		until = s.now().Add(length)
	case "resume":
	default:
		s.fail(w, r, http.StatusNotFound, errors.New("there is no such act"))
		return
	}
	if err := s.o.Operations.PauseLane(r.Context(), r.PathValue("lane"), until, userOf(r.Context()).Name, note); err != nil {
		s.refuse(w, r, err)
		return
	}
	http.Redirect(w, r, "/today", http.StatusSeeOther)
}
