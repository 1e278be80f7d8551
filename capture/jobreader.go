package capture

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	maxTradeID     = 64
	maxOrderID     = 128 // characters
	maxDescription = 255 // characters
	maxURL         = 512
)

// Times outside these years are a unit mistaken or a default value that was
// sent by accident, such as the year 1.
const (
	firstYear = 2000
	lastYear  = 2199
)

// rfc3339 holds to the letter of it; time.Parse also takes one digit for the
// hour, a comma for the point, and zones that are days away.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// ValidTradeID reports whether s is 1 to 64 of A-Z a-z 0-9 _ -. Anything else
// could not be one token of a NATS subject, on which the ledger's guard rests.
func ValidTradeID(s string) bool {
	if len(s) == 0 || len(s) > maxTradeID {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
		if !letter && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// jobReader makes a job of the values found. The first error stays, and makes
// what is read after it empty.
type jobReader struct {
	d   *Decoder
	raw [fieldCount][]byte
	err error
}

func (r *jobReader) job() Job {
	tradeID, number, code := r.required(fieldTradeID), r.required(fieldAmount), r.required(fieldCurrency)
	j := Job{
		TradeID:       r.tradeID(tradeID),
		Amount:        r.amount(fieldAmount, number, code),
		OrderID:       r.line(fieldOrderID, maxOrderID),
		Description:   r.line(fieldDescription, maxDescription),
		AuthorizedAt:  r.time(fieldAuthorizedAt),
		CaptureBefore: r.time(fieldCaptureBefore),
		NotifyURL:     r.url(),
	}
	if authorized := r.optional(fieldAuthorizedAmount); authorized != "" {
		j.AuthorizedAmount = r.amount(fieldAuthorizedAmount, authorized, code)
	}
	r.agree(j)
	if j.Description == "" {
		j.Description = defaultDescription(j)
	}
	return j
}

func defaultDescription(j Job) string {
	if j.OrderID != "" {
		return "order " + j.OrderID
	}
	return "capture of " + j.TradeID
}

// agree checks the fields against each other.
func (r *jobReader) agree(j Job) {
	if r.err != nil {
		return
	}
	if !j.AuthorizedAmount.IsZero() {
		if c, err := j.Amount.Cmp(j.AuthorizedAmount); err != nil || c > 0 {
			r.fail(MalformedAmount, fieldAmount, fmt.Sprintf(
				"%s is more than the authorized %s; the gateway captures at most what was authorized", j.Amount, j.AuthorizedAmount))
		}
	}
	if !j.CaptureBefore.IsZero() && j.CaptureBefore.Before(j.AuthorizedAt) {
		r.fail(MalformedTime, fieldCaptureBefore, fmt.Sprintf("%s is before %s (%s)",
			j.CaptureBefore.Format(time.RFC3339), r.d.paths[fieldAuthorizedAt], j.AuthorizedAt.Format(time.RFC3339)))
	}
}

func (r *jobReader) fail(reason string, field int, detail string) {
	if r.err == nil {
		r.err = malformed(reason, r.d.paths[field], detail)
	}
}

// text returns a field's text; ok is false if it is absent or null.
func (r *jobReader) text(field int) (text string, ok bool) {
	raw := r.raw[field]
	if r.err != nil || isNull(raw) {
		return "", false
	}
	if raw[0] == '"' {
		text = unquote(raw)
		if strings.ContainsRune(text, utf8.RuneError) {
			r.fail(MalformedField, field, "holds U+FFFD or half a surrogate pair: the text was damaged on its way")
		}
		return text, true
	}
	money := field == fieldAmount || field == fieldAuthorizedAmount
	switch {
	case !isNumber(raw):
		r.fail(MalformedField, field, "is "+kindOf(raw)+"; it must be a string")
	case r.d.mapped[field] && (money || field == fieldOrderID):
		return r.number(field, raw)
	case money:
		r.fail(MalformedAmount, field, `is a JSON number, which many programs round to a binary fraction and so lose cents; write a string, like "24.99"`)
	default:
		r.fail(MalformedField, field, "is a number; it must be a string")
	}
	return "", false
}

// number takes a number of a foreign event by its text, digit by digit.
func (r *jobReader) number(field int, raw []byte) (string, bool) {
	if bytes.ContainsAny(raw, "eE") {
		reason := MalformedAmount
		if field == fieldOrderID {
			reason = MalformedField
		}
		r.fail(reason, field, fmt.Sprintf("%s is a number with an exponent; write it out", quoted(string(raw))))
		return "", false
	}
	return string(raw), true
}

func (r *jobReader) required(field int) string {
	text, ok := r.text(field)
	if !ok {
		r.fail(MalformedMissing, field, "the member is required and is not there, or is null")
	}
	return text
}

// optional takes blank text as absent.
func (r *jobReader) optional(field int) string {
	text, _ := r.text(field)
	if strings.TrimSpace(text) == "" {
		return ""
	}
	return text
}

func (r *jobReader) tradeID(s string) string {
	if r.err == nil && !ValidTradeID(s) {
		r.fail(MalformedTradeID, fieldTradeID, fmt.Sprintf("%s is not 1 to %d of A-Z a-z 0-9 _ -", quoted(s), maxTradeID))
	}
	return s
}

func (r *jobReader) amount(field int, number, code string) Amount {
	if r.err != nil {
		return Amount{}
	}
	if _, err := currencyDigits(code); err != nil {
		r.fail(MalformedCurrency, fieldCurrency, quoted(code)+" is not an ISO 4217 code in upper case, like EUR")
		return Amount{}
	}
	a, err := ParseAmount(number, code)
	if err != nil {
		r.fail(MalformedAmount, field, strings.TrimPrefix(err.Error(), ErrAmount.Error()+": "))
	}
	return a
}

// line reads a line of text. The error does not repeat the
// text, which may hold personal data.
func (r *jobReader) line(field, limit int) string {
	text := r.optional(field)
	if n := utf8.RuneCountInString(text); n > limit {
		r.fail(MalformedField, field, fmt.Sprintf("has %d characters, at most %d are allowed", n, limit))
	}
	for _, c := range text {
		if !unicode.IsGraphic(c) {
			r.fail(MalformedField, field, fmt.Sprintf("holds %U, a character that cannot be printed; it must be one line of plain text", c))
		}
	}
	r.standsAlone(field, text)
	return text
}

func (r *jobReader) time(field int) time.Time {
	text := r.optional(field)
	if text == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || !rfc3339.MatchString(text) {
		r.fail(MalformedTime, field, quoted(text)+" is not RFC 3339 with a zone, like 2026-11-02T10:00:00Z")
		return time.Time{}
	}
	t = t.UTC()
	if t.Year() < firstYear || t.Year() > lastYear {
		r.fail(MalformedTime, field, fmt.Sprintf("%s is not within the years %d to %d", quoted(text), firstYear, lastYear))
	}
	return t
}

// url reads the notification address. It is never repeated in an error: it may
// hold a password or a token.
func (r *jobReader) url() string {
	text := r.optional(fieldNotifyURL)
	if text == "" {
		return ""
	}
	if len(text) > maxURL {
		r.fail(MalformedURL, fieldNotifyURL, fmt.Sprintf("has %d bytes, at most %d are allowed", len(text), maxURL))
	} else if err := r.d.hosts.check(text); err != nil {
		r.fail(MalformedURL, fieldNotifyURL, err.Error())
	}
	r.standsAlone(fieldNotifyURL, text)
	return text
}

// standsAlone refuses a text that the gateway could read as a parameter beside its
// own parameter: what is signed of a call is joined raw.
func (r *jobReader) standsAlone(field int, text string) {
	if SignsAsSeveral(text) {
		r.fail(MalformedField, field, "holds an & with the name of a parameter of the gateway's call and = behind it, as in &amount=; "+
			"the signature could not tell it from that parameter: write it without the &")
	}
}
