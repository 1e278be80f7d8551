package worker

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// DeadLetterNote is a message of the dead letters' stream that is no dead
// letter: what an operator did about one. One of its members is set.
type DeadLetterNote struct {
	Republished *Republication
	Dismissed   *Dismissal
}

// ReadDeadLetter reads a message of the dead letters' stream: a dead letter, or
// a note about one, which is then not nil. The error says that the note cannot
// be read.
func ReadDeadLetter(seq uint64, stored time.Time, subject string, header nats.Header, body []byte) (Letter, *DeadLetterNote, error) {
	if _, is := isNote(subject); !is {
		return readLetter(seq, stored, subject, header, body), nil, nil
	}
	note := &DeadLetterNote{}
	var into any
	if strings.HasPrefix(subject, DismissedSubject) {
		note.Dismissed = &Dismissal{}
		into = note.Dismissed
	} else {
		note.Republished = &Republication{}
		into = note.Republished
	}
	if err := json.Unmarshal(body, into); err != nil {
		return Letter{}, nil, fmt.Errorf("reading what was done about a dead letter, sequence %d: %w", seq, err)
	}
	return Letter{}, note, nil
}
