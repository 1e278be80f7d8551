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

// The maximum lengths of the texts in an answer, in bytes.
const (
	maxMessage = 200
	maxWhy     = 300
	maxField   = 128
	maxCode    = 32
)

// hideSign removes our signature from the body before texts are cut to length: a part
// of a signature would not be recognized.
func (x *exchange) hideSign(sign string) {
	if !hasHexRun(x.body, signLength) {
		return
	}
	for _, s := range []string{sign, strings.ToUpper(sign)} {
		x.body = bytes.ReplaceAll(x.body, []byte(s), []byte(hidden))
	}
}

// signatures matches what may be a signature, of this call or of an earlier one. The
// gateway is not known to send other runs of so many hex digits.
var signatures = regexp.MustCompile(fmt.Sprintf(`[0-9A-Fa-f]{%d,}`, signLength))

// cutLength is the length from which a run of hex digits may be part of a signature.
const cutLength = signLength / 2

// cutSignatures matches the part of a signature in an order state, which is cut to
// length when it is read.
var cutSignatures = regexp.MustCompile(fmt.Sprintf(`[0-9A-Fa-f]{%d,}`, cutLength))

// hideRuns replaces runs of at least n hex digits, which pattern matches, by
// "[hidden]". It avoids the slow pattern for texts without such a run.
func hideRuns(s string, pattern *regexp.Regexp, n int) string {
	if !hasHexRun(s, n) {
		return s
	}
	return pattern.ReplaceAllString(s, hidden)
}

// hasHexRun reports whether there are n hex digits in a row. It tests the last position
// of each possible run first, and so skips most of the text.
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

// hider removes the secrets of a call from texts.
type hider struct{ secret, sign string }

// hide builds a strings.Replacer only for the few texts that need one.
func (h hider) hide(s string) string {
	if !strings.Contains(s, h.secret) && !hasHexRun(s, signLength) {
		return s
	}
	return strings.NewReplacer(h.secret, hidden, h.sign, hidden, strings.ToUpper(h.sign), hidden).Replace(s)
}

// redact makes every text of an answer safe to print and to store: limited in length,
// printable, and without our secret or a signature. Texts that were found equal to
// those of the request are left unchanged.
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

// cleanText replaces unprintable characters by spaces and cuts to a number of bytes,
// between characters.
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
