package cli

import (
	"fmt"
	"strings"
	"time"
)

// name is what a letter is called by people.
func (l letterLine) name() string {
	return fmt.Sprintf("dead letter %d (%s, %s UTC)", l.Seq, l.Reason, l.Time.Format(time.DateTime))
}

// look is how to see more of it.
func (l letterLine) look() string { return fmt.Sprintf("see `capture-worker dlq show %d`", l.Seq) }

// dealtWith says what was done about it, in words that follow its name: none
// where it waits.
func (l letterLine) dealtWith() string {
	var text strings.Builder
	if r := l.Republished; r != nil {
		fmt.Fprintf(&text, ", published again %s by %s (%s) as sequence %d of %s, for trade %s", moment(r.Time), r.By, r.Note, r.Seq, r.Stream, r.TradeID)
	}
	if d := l.Dismissed; d != nil {
		fmt.Fprintf(&text, ", dismissed %s by %s (%s)", moment(d.Time), d.By, d.Note)
	}
	return text.String()
}
