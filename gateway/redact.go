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
	for _, s := range []string{sign, strings.ToUpper(sign)} {
		x.body = bytes.ReplaceAll(x.body, []byte(s), []byte(hidden))
	}
}

// signatures finds what may be a signature, of this call or of an earlier one:
// who echoes one echoes the other. Nothing that the gateway is known to send
// is a run of so many hex digits.
var signatures = regexp.MustCompile(fmt.Sprintf(`[0-9A-Fa-f]{%d,}`, signLength))

// cutSignatures finds what is left of one in an order state, which is cut to
// length where it is read, and in what is said about it.
var cutSignatures = regexp.MustCompile(fmt.Sprintf(`[0-9A-Fa-f]{%d,}`, signLength/2))

// redact makes every text of an answer safe to print and to keep: of bounded
// length, printable, and without our secret or a signature, should the gateway
// echo them. What was compared with the request before is left as it was.
func redact(a *capture.Answer, secret, sign string) {
	hide := strings.NewReplacer(secret, hidden, sign, hidden, strings.ToUpper(sign), hidden)
	clean := func(s *string, limit int) {
		*s = cleanText(signatures.ReplaceAllString(hide.Replace(*s), hidden), limit)
	}
	clean(&a.Message, maxMessage)
	a.Why = cutSignatures.ReplaceAllString(hide.Replace(a.Why), hidden)
	clean(&a.Why, maxWhy)
	clean(&a.ResponseID, maxField)
	if a.Code != capture.CodeSuccess && a.Code != capture.CodeInternal && refusals[a.Code] == "" {
		clean(&a.Code, maxCode)
	}
	if a.Order == nil {
		return
	}
	o := *a.Order
	for _, s := range []*string{&o.OrderID, &o.SettlementAmount, &o.SettlementCurrency, &o.ExchangeRate, &o.TransactionID, &o.PaidTime} {
		clean(s, maxField)
	}
	if a.Kind == capture.AnswerUnknown {
		clean(&o.TradeID, maxField)
	}
	if o.State.Class() == capture.OrderIsUnclear {
		state := cutSignatures.ReplaceAllString(string(o.State), hidden)
		clean(&state, maxCode)
		o.State = capture.OrderState(state)
	}
	a.Order = &o
}

// cleanText cuts to a number of bytes, on a letter's border, and puts a space
// for what cannot be printed.
func cleanText(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) > limit {
		end := limit
		for !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	return strings.TrimSpace(s)
}
