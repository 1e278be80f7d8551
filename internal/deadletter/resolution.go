package deadletter

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Subjects of the notes about what operators did; the sequence of the dead letter
// is the last token. The dead letter itself stays in the stream.
const (
	RepublishedSubject = SubjectPrefix + "republished." // its job was published again
	DismissedSubject   = SubjectPrefix + "dismissed."   // nothing is left to do about it

	// republishedLegacy is the subject that early versions used for every
	// republication; only the body names the dead letter.
	republishedLegacy = SubjectPrefix + "republished"
)

// noteSubjects are the subjects of all notes.
var noteSubjects = []string{republishedLegacy, RepublishedSubject + "*", DismissedSubject + "*"}

// isNote reports whether a message of the stream is a note, and about which dead
// letter; 0 if the subject does not name it.
func isNote(subject string) (letter uint64, is bool) {
	if subject == republishedLegacy {
		return 0, true
	}
	for _, prefix := range []string{RepublishedSubject, DismissedSubject} {
		if token, ok := strings.CutPrefix(subject, prefix); ok {
			letter, err := strconv.ParseUint(token, 10, 64)
			return letter, err == nil
		}
	}
	return 0, false
}

// Republication is the note that the job of a dead letter was published again.
type Republication struct {
	Letter  uint64 `json:"letter"` // its sequence
	TradeID string `json:"trade_id"`
	Amount  string `json:"amount"`
	Money   string `json:"currency"`
	Fixed   bool   `json:"fixed"` // with another body
	Subject string `json:"subject"`
	Stream  string `json:"stream"`
	Seq     uint64 `json:"sequence"` // of the new job there
	By      string `json:"by"`
	Note    string `json:"note"`
	// ApprovedBy is the second operator, if the sum is above approval.above.
	ApprovedBy string    `json:"approved_by,omitempty"`
	Time       time.Time `json:"time"`
}

// Dismissal is the note that an operator closed the case of a dead letter without
// publishing its job again.
type Dismissal struct {
	Letter uint64    `json:"letter"` // its sequence
	By     string    `json:"by"`
	Note   string    `json:"note"`
	Time   time.Time `json:"time"`
}

// Resolution is what was done about a dead letter: the last republication and the
// last dismissal, nil if there is none.
type Resolution struct {
	Republished *Republication
	Dismissed   *Dismissal
}

// Resolutions returns what was done about each dead letter that is not pending
// any more, by its sequence.
func (s Store) Resolutions(ctx context.Context) (map[uint64]Resolution, error) {
	found := map[uint64]Resolution{}
	for m, err := range s.Notes(ctx) {
		if err != nil {
			return nil, err
		}
		if err := addNote(found, m); err != nil {
			return nil, fmt.Errorf("reading the note on subject %s of stream %s: %w", m.Subject(), s.Stream, err)
		}
	}
	return found, nil
}

func addNote(found map[uint64]Resolution, m jetstream.Msg) error {
	if strings.HasPrefix(m.Subject(), DismissedSubject) {
		var d Dismissal
		if err := json.Unmarshal(m.Data(), &d); err != nil {
			return err
		}
		found[d.Letter] = Resolution{Republished: found[d.Letter].Republished, Dismissed: &d}
		return nil
	}
	var r Republication
	if err := json.Unmarshal(m.Data(), &r); err != nil {
		return err
	}
	found[r.Letter] = Resolution{Republished: &r, Dismissed: found[r.Letter].Dismissed}
	return nil
}

// Republished records that a job was published again. Repeated soon, the note is
// stored once.
func (s Store) Republished(ctx context.Context, r Republication) error {
	id := fmt.Sprintf("%s-%d-republished-%s-%d", s.Stream, r.Letter, r.Stream, r.Seq)
	if err := s.writeNote(ctx, RepublishedSubject+strconv.FormatUint(r.Letter, 10), id, r); err != nil {
		return fmt.Errorf("recording the republication of dead letter %d: %w", r.Letter, err)
	}
	return nil
}

// Dismiss records that nothing is left to do about a dead letter. Repeated soon,
// the note is stored once.
func (s Store) Dismiss(ctx context.Context, d Dismissal) error {
	id := fmt.Sprintf("%s-%d-dismissed", s.Stream, d.Letter)
	if err := s.writeNote(ctx, DismissedSubject+strconv.FormatUint(d.Letter, 10), id, d); err != nil {
		return fmt.Errorf("dismissing dead letter %d: %w", d.Letter, err)
	}
	return nil
}

func (s Store) writeNote(ctx context.Context, subject, id string, note any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	body, err := json.Marshal(note)
	if err != nil {
		return err
	}
	_, err = s.JS.Publish(ctx, subject, body, jetstream.WithMsgID(id), jetstream.WithExpectStream(s.Stream))
	return err
}
