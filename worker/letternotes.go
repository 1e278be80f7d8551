package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Where it is written down what a person did about a dead letter; the letter's
// sequence is the last token. The letter itself stays where it is: what came in
// and what was done about it are both kept.
const (
	RepublishedSubject = DeadLetterSubject + "republished." // its job was published again
	DismissedSubject   = DeadLetterSubject + "dismissed."   // nothing is left to do about it

	// republishedBefore is where the first workers wrote a republication, whose
	// letter is told in its body alone.
	republishedBefore = DeadLetterSubject + "republished"
)

// isNote reports whether a message of the stream is a note, and about which
// letter; 0 where the subject does not say.
func isNote(subject string) (letter uint64, is bool) {
	if subject == republishedBefore {
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

// Republication says that the job of a letter was published again.
type Republication struct {
	Letter  uint64    `json:"letter"` // its sequence
	TradeID string    `json:"trade_id"`
	Amount  string    `json:"amount"`
	Money   string    `json:"currency"`
	Fixed   bool      `json:"fixed"` // with another body
	Subject string    `json:"subject"`
	Stream  string    `json:"stream"`
	Seq     uint64    `json:"sequence"` // of the new job there
	By      string    `json:"by"`
	Note    string    `json:"note"`
	Time    time.Time `json:"time"`
}

// Dismissal says that a person has closed the case of a letter: nothing was
// published for it.
type Dismissal struct {
	Letter uint64    `json:"letter"` // its sequence
	By     string    `json:"by"`
	Note   string    `json:"note"`
	Time   time.Time `json:"time"`
}

// Handled is what was done about a letter: the last republication and the last
// dismissal, nil where there is none.
type Handled struct {
	Republished *Republication
	Dismissed   *Dismissal
}

// Handled returns what was done about each letter that is not waiting any more.
func (b LetterBox) Handled(ctx context.Context) (map[uint64]Handled, error) {
	found := map[uint64]Handled{}
	for m, err := range b.walk(ctx, republishedBefore, RepublishedSubject+"*", DismissedSubject+"*") {
		if err != nil {
			return nil, err
		}
		if err := readNote(found, m); err != nil {
			return nil, fmt.Errorf("reading what was done about dead letters: %w", err)
		}
	}
	return found, nil
}

func readNote(found map[uint64]Handled, m jetstream.Msg) error {
	if strings.HasPrefix(m.Subject(), DismissedSubject) {
		var d Dismissal
		if err := json.Unmarshal(m.Data(), &d); err != nil {
			return err
		}
		found[d.Letter] = Handled{Republished: found[d.Letter].Republished, Dismissed: &d}
		return nil
	}
	var r Republication
	if err := json.Unmarshal(m.Data(), &r); err != nil {
		return err
	}
	found[r.Letter] = Handled{Republished: &r, Dismissed: found[r.Letter].Dismissed}
	return nil
}

// Note writes a republication down. Repeated soon, it is stored once.
func (b LetterBox) Note(ctx context.Context, r Republication) error {
	id := fmt.Sprintf("%s-%d-republished-%s-%d", b.Stream, r.Letter, r.Stream, r.Seq)
	if err := b.write(ctx, RepublishedSubject+strconv.FormatUint(r.Letter, 10), id, r); err != nil {
		return fmt.Errorf("noting the republication of letter %d: %w", r.Letter, err)
	}
	return nil
}

// Dismiss writes down that nothing is left to do about a letter. Repeated soon,
// it is stored once.
func (b LetterBox) Dismiss(ctx context.Context, d Dismissal) error {
	id := fmt.Sprintf("%s-%d-dismissed", b.Stream, d.Letter)
	if err := b.write(ctx, DismissedSubject+strconv.FormatUint(d.Letter, 10), id, d); err != nil {
		return fmt.Errorf("dismissing letter %d: %w", d.Letter, err)
	}
	return nil
}

func (b LetterBox) write(ctx context.Context, subject, id string, note any) error {
	ctx, cancel := context.WithTimeout(ctx, letterTimeout)
	defer cancel()
	body, err := json.Marshal(note)
	if err != nil {
		return err
	}
	_, err = b.JS.Publish(ctx, subject, body, jetstream.WithMsgID(id), jetstream.WithExpectStream(b.Stream))
	return err
}
