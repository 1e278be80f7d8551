package ledger

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/capture-worker/capture-worker/capture"
)

// DefaultStream is the name of the ledger's stream.
const DefaultStream = "CAPTURES"

// subjectPrefix starts every subject: captures.<trade_id>.<event>.
const subjectPrefix = "captures."

// allSubjects covers the events of all trades.
const allSubjects = subjectPrefix + "*.*"

// headerAfter carries the sequence of the trade's event before, so that a walk
// can tell a trade's first event without remembering the trades.
const headerAfter = "Capture-After"

// Subject is where an event is published.
func Subject(tradeID string, t capture.EventType) string {
	return subjectPrefix + tradeID + "." + string(t)
}

// TradeFilter covers the events of one trade. Every append is guarded with
// exactly this string: on a replicated stream a second spelling would not see
// the appends under way that are guarded by the first.
func TradeFilter(tradeID string) string { return subjectPrefix + tradeID + ".>" }

// tradeOf returns the trade of a subject; ok is false where it is none of ours.
func tradeOf(subject string) (tradeID string, ok bool) {
	rest, ok := strings.CutPrefix(subject, subjectPrefix)
	if !ok {
		return "", false
	}
	tradeID, event, ok := strings.Cut(rest, ".")
	return tradeID, ok && !strings.Contains(event, ".") && CheckTradeID(tradeID) == nil
}

type headersKey struct{}

// WithHeaders adds headers to the events appended under the context, for the
// context of a trace. Names that NATS and CloudEvents give a meaning to are
// left out.
func WithHeaders(ctx context.Context, h nats.Header) context.Context {
	kept := maps.Clone(h)
	for name, values := range kept {
		kept[name] = slices.Clone(values)
	}
	return context.WithValue(ctx, headersKey{}, kept)
}

func headersOf(ctx context.Context) nats.Header {
	given, _ := ctx.Value(headersKey{}).(nats.Header)
	return given
}

// givenHeaders are the headers of a stored event that WithHeaders gave it.
func givenHeaders(stored nats.Header) nats.Header {
	var given nats.Header
	for name, values := range stored {
		if reserved(name) {
			continue
		}
		if given == nil {
			given = nats.Header{}
		}
		given[name] = values
	}
	return given
}

// reserved: beside the prefixes, Status and Description are how a server says
// that it has no message; an event that carried them would be read as that.
func reserved(name string) bool {
	name = strings.ToLower(name)
	return name == "status" || name == "description" || strings.HasPrefix(name, "nats-") || strings.HasPrefix(name, "ce-") ||
		name == "content-type" || name == strings.ToLower(headerAfter)
}

// predecessor returns the sequence of the trade's event before, 0 for its
// first. It is not ok where the message was appended by someone who does not
// keep the ledger's form.
func predecessor(h nats.Header) (seq uint64, ok bool) {
	seq, err := strconv.ParseUint(h.Get(headerAfter), 10, 64)
	return seq, err == nil
}
