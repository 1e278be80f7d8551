package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/natsconn"
)

const (
	// lettersTimeout bounds the look at what is no part of a trade's story.
	lettersTimeout = 5 * time.Second
	// maxLetters is how many of a trade are named in the text; the rest is counted.
	maxLetters = 3
)

// waitingLetters reads the dead letters that wait for a person, the oldest first.
// What could not be read is said on w, and is no failure: whoever asks for a
// trade's story gets it.
func waitingLetters(ctx context.Context, js jetstream.JetStream, c config.Config, w io.Writer) []letterLine {
	ctx, cancel := context.WithTimeout(ctx, lettersTimeout)
	defer cancel()
	var waiting []letterLine
	box := deadletter.Store{JS: js, Stream: c.Jobs.DLQStream}
	n, err := box.Pending(ctx) // mostly there are none, and the letters are many
	if err == nil && n > 0 {
		var dec *capture.Decoder
		if dec, err = capture.NewDecoder(mappingOf(c)); err == nil {
			err = newDesk(c, js, dec).list(ctx, func(l letterLine) error {
				if l.waits() && (l.Trade != "" || l.Order != "") {
					waiting = append(waiting, l)
				}
				return nil
			})
		}
	}
	if err != nil && !noDLQ(err) {
		fmt.Fprintf(w, "whether a dead letter waits about it could not be seen: %v\n", natsconn.Explain(js.Conn(), err))
	}
	return waiting
}

// lettersOf picks the letters about a trade.
func lettersOf(all []letterLine, trade string) []letterLine {
	var about []letterLine
	for _, l := range all {
		if capture.SameTrade(l.Trade, trade) {
			about = append(about, l)
		}
	}
	return about
}

// printLetters tells of the letters about a trade, behind its headline.
func printLetters(w io.Writer, trade string, letters []letterLine) {
	for i, l := range letters {
		if i == maxLetters {
			fmt.Fprintf(w, "also   %d more: see `capture-worker dlq list --trade %s`\n", len(letters)-i, trade)
			return
		}
		fmt.Fprintf(w, "also   %s waits for a person: %s\n", l.name(), l.look())
	}
}

// printOrderLetters tells of the letters about an order that name none of its
// trades: those were told with the trades.
func printOrderLetters(w io.Writer, order string, trades map[string]bool, letters []letterLine) {
	for _, l := range letters {
		if l.Order == order && !trades[l.Trade] {
			fmt.Fprintf(w, "%s is about the order too, and waits for a person: %s\n", l.name(), l.look())
		}
	}
}
