package gateway

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/capture-worker/capture-worker/capture"
)

// The longest texts that an answer keeps, in bytes.
const (
	maxMessage = 200
	maxWhy     = 300
	maxField   = 128
	maxCode    = 32
)

// hideSign takes an echo of our signature out of the body before anything is
// read and cut to length: half a signature could not be found any more.
func (x *exchange) hideSign(sign string) {
	if !hasHexRun(x.body, signLength) {
		return
	}
	for _, s := range []string{sign, strings.ToUpper(sign)} {
		x.body = bytes.ReplaceAll(x.body, []byte(s), []byte(hidden))
	}
}

// signatures finds what may be a signature, of this call or of an earlier one:
// who echoes one echoes the other. Nothing that the gateway is known to send
// is a run of so many hex digits.
var signatures = regexp.MustCompile(fmt.Sprintf(`[0-9A-Fa-f]{%d,}`, signLength))

// cutLength is the length of what is taken for a part of a signature.
const cutLength = signLength / 2

// cutSignatures finds what is left of one in an order state, which is cut to
// length where it is read, and in what is said about it.
var cutSignatures = regexp.MustCompile(fmt.Sprintf(`[0-9A-Fa-f]{%d,}`, cutLength))

// hideRuns puts "[hidden]" for the runs of at least n hex digits, which pattern
// matches. Almost no text has one, and the pattern is slow to say so.
func hideRuns(s string, pattern *regexp.Regexp, n int) string {
	if !hasHexRun(s, n) {
		return s
	}
	return pattern.ReplaceAllString(s, hidden)
}

// hasHexRun reports n hex digits in a row. It looks at the last place of where
// a run could be first, and so skips most of a text.
func hasHexRun[T string | []byte](s T, n int) bool {
	for end := n - 1; end < len(s); {
		i := end
		for i > end-n && isHex(s[i]) {
			i--
		}
		if i == end-n {
			return true
		}
		end = i + n
	}
	return false
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
}

// hider takes what is secret in a call out of texts.
type hider struct{ secret, sign string }

// hide is made anew for the few texts that need it: strings.Replacer takes
// longer to build than to run.
func (h hider) hide(s string) string {
	if !strings.Contains(s, h.secret) && !hasHexRun(s, signLength) {
		return s
	}
	return strings.NewReplacer(h.secret, hidden, h.sign, hidden, strings.ToUpper(h.sign), hidden).Replace(s)
}

// redact makes every text of an answer safe to print and to keep: of bounded
// length, printable, and without our secret or a signature, should the gateway
// echo them. What was compared with the request before is left as it was.
func redact(a *capture.Answer, secret, sign string) {
	h := hider{secret, sign}
	clean := func(s *string, limit int) {
		*s = cleanText(hideRuns(h.hide(*s), signatures, signLength), limit)
	}
	clean(&a.Message, maxMessage)
	a.Why = hideRuns(h.hide(a.Why), cutSignatures, cutLength)
	clean(&a.Why, maxWhy)
	clean(&a.ResponseID, maxField)
	if a.Code != capture.CodeSuccess && a.Code != capture.CodeInternal && refusals[a.Code] == "" {
		clean(&a.Code, maxCode)
	}
	if a.Order == nil {
		return
	}
	o := a.Order
	for _, s := range []*string{
		&o.OrderID, &o.SettlementAmount, &o.SettlementCurrency, &o.ExchangeRate, &o.TransactionID, &o.PaidTime, &o.CreatedAt, &o.AmountText,
	} {
		clean(s, maxField)
	}
	if a.Kind == capture.AnswerUnknown {
		clean(&o.TradeID, maxField)
	}
	if o.State.Class() == capture.OrderIsUnclear {
		state := hideRuns(string(o.State), cutSignatures, cutLength)
		clean(&state, maxCode)
		o.State = capture.OrderState(state)
	}
}

// cleanText cuts to a number of bytes, on a letter's border, and puts a space
// for what cannot be printed.
func cleanText(s string, limit int) string {
	if !printableASCII(s) {
		s = strings.Map(printable, s)
	}
	if len(s) > limit {
		end := limit
		for !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	return strings.TrimSpace(s)
}

func printable(r rune) rune {
	if r == utf8.RuneError || !unicode.IsPrint(r) {
		return ' '
	}
	return r
}

func printableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
