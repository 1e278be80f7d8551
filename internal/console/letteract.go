package console

import (
	"errors"
	"net/http"
	"strings"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/records"
)

// republishing is what the token of a checked job covers.
type republishing struct {
	Letter         uint64
	By, Note, Body string
}

// republish checks the job that was entered for a dead letter, shows its
// differences field by field and, with the token of that, publishes it.
func (s *Server) republish(w http.ResponseWriter, r *http.Request) {
	page, ok := s.openLetter(w, r)
	if !ok {
		return
	}
	if err := r.ParseForm(); err != nil {
		s.fail(w, r, http.StatusBadRequest, errForm)
		return
	}
	original := page.Body
	page.Body, page.Note = r.PostForm.Get("body"), strings.TrimSpace(r.PostForm.Get("note"))
	var body []byte // nil: as it came
	if lines(page.Body) != lines(original) {
		body = []byte(page.Body)
	}
	job, wrong := s.checkFixed(&page, body)
	if wrong == "" {
		wrong = wrongNote(page.Note)
	}
	if page.Wrong = wrong; wrong != "" {
		s.renderLetter(w, r, http.StatusUnprocessableEntity, page)
		return
	}
	user := userOf(r.Context())
	page.ChangesTrade = !capture.SameTrade(job.TradeID, page.DeadLetter.Trade)
	if page.ChangesTrade && user.Role < Approver {
		page.Wrong = "The job names another trade than the dead letter did. That needs an approver."
		s.renderLetter(w, r, http.StatusForbidden, page)
		return
	}
	what := republishing{page.Seq, user.Name, page.Note, page.Body}
	token := r.PostForm.Get("token")
	if token == "" {
		page.Token = s.ticket(page.Seq, what)
		s.renderLetter(w, r, http.StatusOK, page)
		return
	}
	if _, err := s.readTicket(token, what); err != nil {
		page.Wrong = sentence(err.Error())
		s.renderLetter(w, r, http.StatusConflict, page)
		return
	}
	done, err := s.o.Operations.Republish(r.Context(), LetterAct{
		Letter: page.Seq, By: user.Name, Note: page.Note, Body: body, ReplaceTrade: user.Role >= Approver,
	})
	s.letterDone(w, r, page.DeadLetter, done, err)
}

func lines(text string) string { return strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n")) }

// checkFixed decodes a job as a worker would, and notes what differs.
func (s *Server) checkFixed(page *letterPage, body []byte) (job capture.Job, wrong string) {
	if s.o.Decoder == nil {
		return job, "Jobs cannot be decoded here."
	}
	if body == nil {
		body = page.DeadLetter.Body
	}
	job, err := s.o.Decoder.Decode(page.Header, body)
	if err != nil {
		return job, sentence(err.Error())
	}
	page.Changes = changes(s.o.Decoder.HintFields(page.Header, page.DeadLetter.Body), s.o.Decoder.HintFields(page.Header, body))
	return job, ""
}

// dismissLetter closes the case of a dead letter.
func (s *Server) dismissLetter(w http.ResponseWriter, r *http.Request) {
	page, ok := s.openLetter(w, r)
	if !ok {
		return
	}
	if err := r.ParseForm(); err != nil {
		s.fail(w, r, http.StatusBadRequest, errForm)
		return
	}
	page.Note = strings.TrimSpace(r.PostForm.Get("note"))
	if page.Wrong = wrongNote(page.Note); page.Wrong != "" {
		s.renderLetter(w, r, http.StatusUnprocessableEntity, page)
		return
	}
	done, err := s.o.Operations.DismissLetter(r.Context(), LetterAct{Letter: page.Seq, By: userOf(r.Context()).Name, Note: page.Note})
	s.letterDone(w, r, page.DeadLetter, done, err)
}

// letterDone shows what was done about a dead letter.
func (s *Server) letterDone(w http.ResponseWriter, r *http.Request, l records.DeadLetter, done Done, err error) {
	switch {
	case err != nil:
		s.refuse(w, r, err)
		return
	case !done.OK:
		s.fail(w, r, http.StatusConflict, errors.New(done.Text))
		return
	}
	s.log.Info("act done", "act", "dead letter", "sequence", l.Seq)
	done.Text = sentence(done.Text)
	s.render(w, r, http.StatusOK, "letterdone", &view{Title: "Dead letter", Nav: "letters", Data: struct {
		records.DeadLetter
		Done Done
	}{l, done}})
}
