package console

import (
	"cmp"
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

const (
	// approvalLife is how long a request waits for an approver.
	approvalLife = 24 * time.Hour
	maxApprovals = 200
)

// approvalRequest is an act that an operator asks an approver to confirm.
type approvalRequest struct {
	Act
	ID    string
	Order string
	Sum   capture.Amount
	At    time.Time
}

// approvals are the requests that wait. They are in memory: after a restart of the
// console an operator asks again.
type approvals struct {
	mu  sync.Mutex
	all map[string]approvalRequest
}

var errApprovalsFull = errors.New("too many acts wait for an approver; have some of them confirmed or refused first")

// add adds a request; one for the same act on the same trade is replaced.
func (a *approvals) add(one approvalRequest) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all == nil {
		a.all = map[string]approvalRequest{}
	}
	for id, old := range a.all {
		if one.At.Sub(old.At) >= approvalLife || old.Trade == one.Trade && old.Kind == one.Kind {
			delete(a.all, id)
		}
	}
	if len(a.all) >= maxApprovals {
		return errApprovalsFull
	}
	one.ID = rand.Text()
	a.all[one.ID] = one
	return nil
}

func (a *approvals) find(id string, now time.Time) (approvalRequest, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	one, ok := a.all[id]
	return one, ok && now.Sub(one.At) < approvalLife
}

func (a *approvals) remove(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.all, id)
}

// list returns the requests that wait, the oldest first.
func (a *approvals) list(now time.Time) []approvalRequest {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []approvalRequest
	for _, one := range a.all {
		if now.Sub(one.At) < approvalLife {
			all = append(all, one)
		}
	}
	slices.SortFunc(all, func(x, y approvalRequest) int { return cmp.Or(x.At.Compare(y.At), strings.Compare(x.ID, y.ID)) })
	return all
}

// askApproval keeps an act until an approver confirms it.
func (s *Server) askApproval(w http.ResponseWriter, r *http.Request, page actPage, a Act) {
	err := s.approvals.add(approvalRequest{Act: a, Order: page.OrderID, Sum: page.Asked, At: s.now().UTC()})
	if err != nil {
		s.fail(w, r, http.StatusServiceUnavailable, err)
		return
	}
	page.Done = &Done{OK: true, Text: "Nothing was done yet. An approver finds it in the work list; it waits for 24 hours."}
	s.renderAct(w, r, http.StatusOK, page)
}

// openApproval reads the request of the path, or answers with an error. No user
// approves an act of their own.
func (s *Server) openApproval(w http.ResponseWriter, r *http.Request) (actPage, Act, bool) {
	one, ok := s.approvals.find(r.PathValue("id"), s.now())
	if !ok {
		s.fail(w, r, http.StatusNotFound, errors.New("this request is done, refused, or older than 24 hours"))
		return actPage{}, Act{}, false
	}
	user := userOf(r.Context())
	if strings.EqualFold(user.Name, one.By) {
		s.fail(w, r, http.StatusForbidden, errors.New("another approver has to confirm what you ask for"))
		return actPage{}, Act{}, false
	}
	page := actPage{Offer: offerTexts[one.Kind], Action: "/approvals/" + one.ID, By: one.By, Note: one.Note}
	var err error
	if page.Trade, _, err = s.o.Records.Trade(r.Context(), one.Trade); err != nil {
		s.internal(w, r, "trade "+one.Trade, err)
		return page, Act{}, false
	}
	a := one.Act
	a.ApprovedBy = user.Name
	return page, a, true
}

func (s *Server) approvalForm(w http.ResponseWriter, r *http.Request) {
	if page, _, ok := s.openApproval(w, r); ok {
		s.renderAct(w, r, http.StatusOK, page)
	}
}

// approve previews what an operator asks for and, with the token of that, does it.
func (s *Server) approve(w http.ResponseWriter, r *http.Request) {
	page, a, ok := s.openApproval(w, r)
	if !ok {
		return
	}
	if err := r.ParseForm(); err != nil {
		s.fail(w, r, http.StatusBadRequest, errForm)
		return
	}
	if s.previewOrDo(w, r, page, a) {
		s.approvals.remove(r.PathValue("id"))
	}
}

func (s *Server) refuseApproval(w http.ResponseWriter, r *http.Request) {
	if _, _, ok := s.openApproval(w, r); ok {
		s.approvals.remove(r.PathValue("id"))
		http.Redirect(w, r, "/work", http.StatusSeeOther)
	}
}
