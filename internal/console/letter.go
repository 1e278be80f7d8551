package console

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/capture-worker/capture-worker/capture"
)

// letterPage is the data of a dead letter.
type letterPage struct {
	letterRow
	Original   string
	Headers    []string
	Understood []field // what a worker reads today
	Problem    string  // why it reads nothing
	About      string  // the trade that it seems to be about
	MayAct     bool

	Body, Note   string // of the form
	Changes      []change
	Wrong        string // why what was entered cannot be sent
	Token        string
	ChangesTrade bool
}

// field is a field of a job.
type field struct{ Name, Value string }

// jobFields are the fields of a job that are set.
func jobFields(j capture.Job) []field {
	all := []field{
		{"trade_id", j.TradeID}, {"amount", j.Amount.Number()}, {"currency", j.Amount.Currency()}, {"order_id", j.OrderID},
		{"description", j.Description}, {"notify_url", j.NotifyURL}, {"authorized_amount", j.AuthorizedAmount.Number()},
	}
	if !j.AuthorizedAt.IsZero() {
		all = append(all, field{"authorized_at", when(j.AuthorizedAt)})
	}
	if !j.CaptureBefore.IsZero() {
		all = append(all, field{"capture_before", when(j.CaptureBefore)})
	}
	return slices.DeleteFunc(all, func(f field) bool { return f.Value == "" })
}

var errNoLetter = errors.New("there is no such dead letter")

// openLetter reads the dead letter of the path, or answers with an error.
func (s *Server) openLetter(w http.ResponseWriter, r *http.Request) (letterPage, bool) {
	seq, err := strconv.ParseUint(r.PathValue("seq"), 10, 63)
	if err != nil || seq == 0 {
		s.fail(w, r, http.StatusNotFound, errNoLetter)
		return letterPage{}, false
	}
	var page letterPage
	if page.DeadLetter, err = s.o.Records.DeadLetter(r.Context(), seq); err == nil {
		page.Meanwhile, err = s.meanwhile(r, page.DeadLetter)
	}
	if err != nil {
		s.internal(w, r, "dead letter "+r.PathValue("seq"), err)
		return letterPage{}, false
	}
	page.Original, page.About = pretty(page.DeadLetter.Body), page.Trade
	for _, name := range slices.Sorted(maps.Keys(page.Header)) {
		page.Headers = append(page.Headers, name+": "+strings.Join(page.Header[name], ", "))
	}
	if s.o.Decoder != nil {
		job, err := s.o.Decoder.Decode(page.Header, page.DeadLetter.Body)
		if err != nil {
			page.Problem = err.Error()
		} else {
			page.Understood = jobFields(job)
		}
	}
	page.MayAct = !s.ReadOnly() && userOf(r.Context()).Role >= Operator
	page.Body = string(page.DeadLetter.Body)
	return page, true
}

func (s *Server) letter(w http.ResponseWriter, r *http.Request) {
	page, ok := s.openLetter(w, r)
	if !ok {
		return
	}
	s.renderLetter(w, r, http.StatusOK, page)
}

func (s *Server) renderLetter(w http.ResponseWriter, r *http.Request, code int, page letterPage) {
	s.render(w, r, code, "letter", &view{Title: "Dead letter " + strconv.FormatUint(page.Seq, 10), Nav: "letters", Data: page})
}

// change is a field that differs between the job that came and the one to be sent.
type change struct{ Name, Before, After string }

// changes compares what two messages have in the fields of a job, as `dlq republish`
// does: the JSON texts as they came.
func changes(before, after []string) []change {
	var all []change
	for i, name := range capture.JobFields() {
		if before[i] != after[i] {
			all = append(all, change{name, before[i], after[i]})
		}
	}
	return all
}
