package ledger

import (
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger/internal/appender"
)

// DefaultStream is the name of the ledger's stream.
const DefaultStream = "CAPTURES"

// allSubjects covers the events of all trades.
const allSubjects = appender.SubjectPrefix + "*.*"

// Subject returns the subject of an event: captures.<trade_id>.<event>.
func Subject(tradeID string, t capture.EventType) string {
	return appender.SubjectPrefix + tradeID + "." + string(t)
}

// TradeFilter returns the pattern for all events of a trade. Every append is
// guarded with exactly this string: on a replicated stream, an append that
// spells it differently does not see the guarded appends under way.
func TradeFilter(tradeID string) string { return appender.SubjectPrefix + tradeID + ".>" }

// tradeOf returns the trade of a subject; ok is false for other subjects.
func tradeOf(subject string) (tradeID string, ok bool) {
	rest, ok := strings.CutPrefix(subject, appender.SubjectPrefix)
	if !ok {
		return "", false
	}
	tradeID, event, ok := strings.Cut(rest, ".")
	return tradeID, ok && !strings.Contains(event, ".") && CheckTradeID(tradeID) == nil
}

// extraHeaders returns the headers of a stored event that WithHeaders added.
func extraHeaders(stored nats.Header) nats.Header {
	var extra nats.Header
	for name, values := range stored {
		if appender.Reserved(name) {
			continue
		}
		if extra == nil {
			extra = nats.Header{}
		}
		extra[name] = values
	}
	return extra
}

// predecessor returns the sequence of the trade's previous event, 0 if there is
// none. ok is false if the message was not appended by a ledger.
func predecessor(h nats.Header) (seq uint64, ok bool) {
	seq, err := strconv.ParseUint(h.Get(appender.HeaderAfter), 10, 64)
	return seq, err == nil
}
