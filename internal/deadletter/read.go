package deadletter

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Read reads a message of the stream: a dead letter, or a note about one. Of a
// note one member of the Resolution is set, of a dead letter none. The error says
// that the note cannot be read.
func Read(seq uint64, stored time.Time, subject string, header nats.Header, body []byte) (Message, Resolution, error) {
	if _, is := isNote(subject); !is {
		return parse(seq, stored, subject, header, body), Resolution{}, nil
	}
	var note Resolution
	var err error
	if strings.HasPrefix(subject, DismissedSubject) {
		err = json.Unmarshal(body, &note.Dismissed)
	} else {
		err = json.Unmarshal(body, &note.Republished)
	}
	if err == nil && note == (Resolution{}) {
		err = errors.New("it is null")
	}
	if err != nil {
		return Message{}, Resolution{}, fmt.Errorf("reading the note on subject %s: %w", subject, err)
	}
	return Message{}, note, nil
}
