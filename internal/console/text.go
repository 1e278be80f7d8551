package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/acts"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/history"
	"github.com/capture-worker/capture-worker/internal/records"
)

// functions are those of the templates.
var functions = template.FuncMap{
	"when":    when,
	"iso":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"since":   func(t, now time.Time) string { return ago(now.Sub(t)) },
	"left":    func(t, now time.Time) string { return left(t.Sub(now)) },
	"grouped": grouped,
	"money":   money,
	"sum": func(number, currency string) string {
		return strings.TrimSpace(groupedDecimal(number) + " " + currency)
	},
	"reason":   reasonText,
	"verdict":  verdictText,
	"event":    eventText,
	"act":      actText,
	"phase":    phaseText,
	"mark":     phaseMark,
	"pieces":   pieces,
	"pretty":   pretty,
	"sentence": sentence,
	"statusOf": status.text,
	"caseOf":   caseText,
	"nav":      navEntry,
	"int64":    func(n uint64) int64 { return int64(n) },
	"int":      func(n int) int64 { return int64(n) },
}

// entry is one entry of the menu.
type entry struct {
	Path, Label string
	Here        bool
}

func navEntry(name, path, label, here string) entry { return entry{path, label, name == here} }

func when(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

// ago is a span of time in its largest unit or two.
func ago(d time.Duration) string {
	switch {
	case d < time.Second:
		return "less than a second"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours())/24)
}

// left is the time to a deadline.
func left(d time.Duration) string {
	if d <= 0 {
		return "over"
	}
	return ago(d)
}

// grouped writes an integer with spaces between the thousands.
func grouped(n int64) string { return groupedDecimal(fmt.Sprint(n)) }

// groupedDecimal groups the digits before the point: 12 345.60. A text that is no
// decimal stays as it is.
func groupedDecimal(number string) string {
	whole, frac, point := strings.Cut(number, ".")
	if whole == "" || strings.ContainsFunc(whole+frac, func(r rune) bool { return r < '0' || r > '9' }) {
		return number
	}
	var b strings.Builder
	for i, digit := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteRune('\u202f')
		}
		b.WriteRune(digit)
	}
	if point {
		b.WriteString("." + frac)
	}
	return b.String()
}

func money(a capture.Amount) string {
	if a.IsZero() {
		return "–"
	}
	return groupedDecimal(a.Number()) + "\u00a0" + a.Currency()
}

// sentence makes a sentence of an error or a summary: with a capital, and an end.
func sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if text == "" {
		return ""
	}
	text = string(unicode.ToUpper(first)) + text[size:]
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	return text
}

// piece is a part of a text; commands stand between backticks.
type piece struct {
	Text string
	Code bool
}

func pieces(text string) []piece {
	var all []piece
	for i, part := range strings.Split(text, "`") {
		if part != "" {
			all = append(all, piece{part, i%2 == 1})
		}
	}
	return all
}

// maxPretty bounds a document that is printed in a page.
const maxPretty = 64 << 10

// pretty prints JSON with indents, and anything else as it is, with what cannot be
// printed escaped.
func pretty(raw []byte) string {
	var b bytes.Buffer
	text := string(raw)
	if json.Indent(&b, raw, "", "  ") == nil {
		text = b.String()
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) && !unicode.IsSpace(r) }) {
		text = fmt.Sprintf("%q", raw)
	}
	if len(text) > maxPretty {
		text = strings.ToValidUTF8(text[:maxPretty], "") + fmt.Sprintf("\n… %d more bytes", len(text)-maxPretty)
	}
	return text
}

func verdictText(v history.Verdict) string {
	switch v {
	case history.Charged:
		return "Charged"
	case history.ChargedOtherwise:
		return "Charged, but not as asked"
	case history.NotCharged:
		return "Not charged"
	case history.NeedsOperator:
		return "Not known: needs a decision"
	}
	return "Not known yet"
}

func phaseText(t records.Trade) string {
	switch {
	case t.Case == records.CaseContradicted:
		return "contradicted"
	case t.Dismissed:
		return "closed"
	case t.Phase == capture.PhaseCaptured, t.Phase == capture.PhaseFailed, t.Phase == capture.PhaseParked:
		return string(t.Phase)
	}
	return "open"
}

// phaseMark is the class of the mark of a trade.
func phaseMark(t records.Trade) string { return "is-" + phaseText(t) }

func caseText(kind string) string {
	switch kind {
	case records.CaseParked:
		return "Parked"
	case records.CaseContradicted:
		return "Contradicted"
	}
	return "Open"
}

func eventText(t capture.EventType) string {
	switch t {
	case capture.Attempted:
		return "Capture call announced"
	case capture.Answered:
		return "Capture call answered"
	case capture.Queried:
		return "Order Query asked"
	case capture.Notified:
		return "Notification received"
	case capture.Released:
		return "Released: sent back to work"
	case capture.Retried:
		return "Retried: sent back to work"
	case capture.Withdrawn:
		return "Job withdrawn"
	case capture.Dismissed:
		return "Case closed"
	case capture.Captured:
		return "Captured"
	case capture.Failed:
		return "Failed: no money was taken"
	case capture.Parked:
		return "Parked: an operator must look"
	}
	return string(t)
}

var reasonTexts = map[string]string{
	capture.ReasonWindowExceeded:      "the time to capture was over",
	capture.ReasonAmountExceeded:      "more than was authorized",
	capture.ReasonCurrencyMismatch:    "not the currency of the authorization",
	capture.ReasonTradeIncorrect:      "the gateway knows no such authorization",
	capture.ReasonAmountMismatch:      "paid, but another amount than asked",
	capture.ReasonRequestIDRefused:    "the gateway refused two request ids",
	capture.ReasonRefunded:            "paid and given back",
	capture.ReasonStateUnclear:        "the gateway uses a word that is not documented",
	capture.ReasonTradeUnknown:        "Order Query knows no such trade",
	capture.ReasonUnresolved:          "the truth could not be learned in time",
	capture.ReasonWithdrawn:           "the job was withdrawn",
	capture.ReasonAmountUnreadable:    "paid, with an amount that cannot be read",
	capture.ReasonRequestRefused:      "the gateway misses a field in every call",
	capture.ReasonRefusalContradicted: "refused, and Order Query does not say why",
	capture.ReasonUnknownCode:         "answers with codes that are not documented",
	capture.ReasonRequestIDsSpent:     "all request ids of the trade are used",
	capture.ReasonSumLowered:          "less is authorized than before",
	capture.ReasonNotifiedPaid:        "a notification says paid, Order Query does not",
	string(capture.OrderDeclined):     "the authorization was declined",
	string(capture.OrderFailed):       "the authorization failed",
	string(capture.OrderExpired):      "the authorization expired",
	string(capture.OrderCancelled):    "the authorization was cancelled",
	deadletter.ReasonConflict:         "contradicts the outcome of its trade",
	capture.MalformedNotJSON:          "not JSON",
	capture.MalformedNotObject:        "not a JSON object",
	capture.MalformedDuplicate:        "a member occurs twice",
	capture.MalformedCase:             "a member differs from a known one in letter case",
	capture.MalformedMissing:          "a required field is missing",
	capture.MalformedTradeID:          "the trade_id has a wrong form",
	capture.MalformedAmount:           "the amount has a wrong form",
	capture.MalformedCurrency:         "the currency is not one",
	capture.MalformedTime:             "a time has a wrong form",
	capture.MalformedURL:              "the notify_url is not allowed",
	capture.MalformedField:            "a field has a wrong form",
	capture.MalformedCloudEvent:       "the CloudEvent has a wrong form",
	capture.MalformedTooLarge:         "the message is too large",
}

// reasonText says a reason in words.
func reasonText(reason string) string {
	if text, ok := reasonTexts[reason]; ok {
		return text
	}
	return reason
}

func actText(kind acts.Kind) string {
	switch kind {
	case acts.DismissDeadLetter:
		return "dead letter dismissed"
	case acts.Republish:
		return "dead letter republished"
	case acts.Release:
		return "released"
	case acts.Retry:
		return "retried"
	case acts.Dismiss:
		return "case closed"
	case acts.Withdraw:
		return "withdrawn"
	case acts.Pause:
		return "paused"
	case acts.Resume:
		return "resumed"
	case acts.Publish:
		return "file published"
	}
	return string(kind)
}
