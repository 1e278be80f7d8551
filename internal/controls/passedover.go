package controls

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

const (
	// keptPerKind limits the sampled messages per condition and mismatch,
	// keptPassedOver all of them.
	keptPerKind    = 20
	keptPassedOver = 100
	// longestText limits the texts of a sampled message, mostValues the wanted
	// values in it.
	longestText = 200
	mostValues  = 4
)

// PassedOver is a message that jobs.match does not take, as a worker judged it.
type PassedOver struct {
	Stream    string    `json:"stream"`
	Sequence  uint64    `json:"sequence"`
	Published time.Time `json:"published,omitzero"`
	// TradeID and OrderID are hints from the message, "" if it has none.
	TradeID string             `json:"trade_id,omitempty"`
	OrderID string             `json:"order_id,omitempty"`
	Why     capture.MatchError `json:"why"`
}

// SameMessage reports whether both are about the same message.
func (p PassedOver) SameMessage(other PassedOver) bool {
	return p.Stream == other.Stream && p.Sequence == other.Sequence && p.Published.Equal(other.Published)
}

// String returns one line with the message and the reason.
func (p PassedOver) String() string {
	text := fmt.Sprintf("message %d of %s was passed over: %s", p.Sequence, p.Stream, p.Why.Text())
	if !p.Published.IsZero() {
		text += ", published " + p.Published.UTC().Format(time.DateTime) + " UTC"
	}
	return text
}

// AddPassedOver adds messages to the sample of all workers. It keeps the newest
// messages of each condition, at most a hundred in total.
func (c *Store) AddPassedOver(ctx context.Context, more []PassedOver) error {
	return change(ctx, c.kv, c.passed, func(kept *[]PassedOver, _ bool) error {
		*kept = sampled(*kept, more)
		return nil
	})
}

// PassedOver returns the sample, the newest messages last.
func (c *Store) PassedOver(ctx context.Context) ([]PassedOver, error) {
	kept, _, err := read[[]PassedOver](ctx, c.kv, c.passed)
	return kept, err
}

// sampled returns a sample with messages added, within the limits.
func sampled(kept, more []PassedOver) []PassedOver {
	type kind struct {
		path string
		why  capture.Mismatch
	}
	var all []PassedOver
	count := map[kind]int{}
	for _, p := range slices.Backward(append(slices.Clip(kept), more...)) {
		of := kind{p.Why.Path, p.Why.Kind()}
		if len(all) == keptPassedOver || count[of] == keptPerKind || slices.ContainsFunc(all, p.SameMessage) {
			continue
		}
		count[of]++
		all = append(all, p.shortened())
	}
	slices.Reverse(all)
	return all
}

// shortened truncates the texts that come from the configuration and may be long.
func (p PassedOver) shortened() PassedOver {
	p.Why.Path = firstRunes(p.Why.Path)
	var want []string
	for _, value := range p.Why.Want[:min(len(p.Why.Want), mostValues)] {
		want = append(want, firstRunes(value))
	}
	p.Why.Want = want
	return p
}

func firstRunes(text string) string {
	if runes := []rune(text); len(runes) > longestText {
		return string(runes[:longestText-1]) + "…"
	}
	return text
}
