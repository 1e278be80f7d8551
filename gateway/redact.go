package gateway

import (
	"bytes"
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

// redact makes every text of an answer safe to print and to keep: of bounded
// length, printable, and without our secret or signature, should the gateway
// echo them. What was compared with the request before is left as it was.
func redact(a *capture.Answer, secret, sign string) {
	hide := strings.NewReplacer(secret, hidden, sign, hidden, strings.ToUpper(sign), hidden)
	clean := func(s *string, limit int) { *s = cleanText(hide.Replace(*s), limit) }
	clean(&a.Message, maxMessage)
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
		state := string(o.State)
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
