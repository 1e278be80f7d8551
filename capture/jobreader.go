package capture

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxTradeID     = 64
	maxName        = 128 // characters of an order_id or capture_id
	maxDescription = 255 // characters
	maxURL         = 512
)

// Times outside these years have a wrong unit, or are a default value that was sent
// by mistake, such as the year 1.
const (
	firstYear = 2000
	lastYear  = 2199
)

// rfc3339 matches exactly the form that RFC 3339 defines; time.Parse also accepts
// an hour of one digit, a comma for the point, and zones of several days.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// ValidTradeID reports whether s is 1 to 64 of A-Z a-z 0-9 _ -. Anything else might
// not be one token of a NATS subject, which the ledger's guard needs.
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

// jobReader makes a job from the values found. After the first error every further
// value is read as empty.
type jobReader struct {
	d     *Decoder
	raw   [slotCount][]byte
	from  [slotCount]string   // the path at which the value was found
	cells *[fieldCount]string // instead of raw, for a row of a table
	err   error
}

// find reads the value of each field from a document, at the first path that leads
// to a value.
func (r *jobReader) find(doc *document) error {
	var few [slotCount][]byte // enough without a mapping, and on the stack
	found := few[:]
	if r.d.fields.slots > len(few) {
		found = make([][]byte, r.d.fields.slots)
	}
	if err := r.d.fields.tree.collect(doc.raw, found); err != nil {
		return err
	}
	if err := doc.find(r.d.fields.queries, found); err != nil {
		return err
	}
	for i := range r.d.fields.fields {
		f := &r.d.fields.fields[i]
		r.raw[i] = f.constant
		for _, s := range f.sources {
			if !isNull(found[s.slot]) {
				r.raw[i], r.from[i] = found[s.slot], s.path
				break
			}
		}
	}
	return nil
}

// result returns the job, or the first error.
func (r *jobReader) result() (Job, error) {
	j := r.job()
	if r.err != nil {
		return Job{}, r.err
	}
	return j, nil
}

// mapped reports whether the field comes from a mapped message and is normalised.
func (r *jobReader) mapped(field int) bool { return r.cells != nil || r.d.fields.fields[field].mapped }

// path returns the name of the field in errors.
func (r *jobReader) path(field int) string {
	switch f := &r.d.fields.fields[field]; {
	case r.cells != nil || len(f.sources) == 0:
		return fieldNames[field]
	case r.from[field] != "":
		return r.from[field]
	default:
		return f.name()
	}
}

func (r *jobReader) job() Job {
	tradeID, number, code := r.required(fieldTradeID), r.amountText(fieldAmount), r.currency()
	j := Job{
		TradeID:       r.tradeID(tradeID),
		Amount:        r.amount(fieldAmount, number, code),
		AuthorizedAt:  r.time(fieldAuthorizedAt),
		CaptureBefore: r.time(fieldCaptureBefore),
		NotifyURL:     r.url(),
	}
	var order, description, captureID bool
	j.OrderID, order = r.name(fieldOrderID)
	j.Description, description = r.description()
	j.CaptureID, captureID = r.name(fieldCaptureID)
	j.Cleaned = cleanedNames(order, description, captureID)
	if authorized := r.amountText(fieldAuthorizedAmount); authorized.text != "" {
		j.AuthorizedAmount = r.amount(fieldAuthorizedAmount, authorized, code)
	}
	r.agree(j)
	if j.Description == "" {
		j.Description = defaultDescription(j)
	}
	return j
}

func cleanedNames(order, description, captureID bool) string {
	if !order && !description && !captureID {
		return "" // as nearly always
	}
	var names []string
	for _, field := range []struct {
		changed bool
		name    string
	}{{order, fieldNames[fieldOrderID]}, {description, fieldNames[fieldDescription]}, {captureID, fieldNames[fieldCaptureID]}} {
		if field.changed {
			names = append(names, field.name)
		}
	}
	return strings.Join(names, ",")
}

func defaultDescription(j Job) string {
	if j.OrderID != "" {
		return "order " + j.OrderID
	}
	return "capture of " + j.TradeID
}

// agree checks that the fields do not contradict each other.
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
			j.CaptureBefore.Format(time.RFC3339), r.path(fieldAuthorizedAt), j.AuthorizedAt.Format(time.RFC3339)))
	}
}

func (r *jobReader) fail(reason string, field int, detail string) {
	if r.err == nil {
		r.err = malformed(reason, r.path(field), detail)
	}
}

// text returns a field's text; ok is false if it is absent or null.
func (r *jobReader) text(field int) (text string, ok bool) {
	if r.err != nil {
		return "", false
	}
	if r.cells != nil && r.cells[field] != "" {
		return r.whole(field, r.cells[field]), true
	}
	raw := r.raw[field]
	if r.cells != nil {
		raw = r.d.fields.fields[field].constant
	}
	switch {
	case isNull(raw):
		return "", false
	case raw[0] == '"':
		return r.whole(field, unquote(raw)), true
	case !isNumber(raw):
		r.fail(MalformedField, field, "is "+kindOf(raw)+"; it must be a string")
	case r.mapped(field) && (identifies(field) || len(unitsOf(field)) > 0):
		return r.number(field, raw)
	case field == fieldAmount || field == fieldAuthorizedAmount:
		r.fail(MalformedAmount, field, `is a JSON number, which many programs round to a binary fraction and so lose cents; write a string, like "24.99"`)
	default:
		r.fail(MalformedField, field, "is a number; it must be a string")
	}
	return "", false
}

// whole refuses text with signs of a wrong character encoding. In a description or a
// reason these are removed instead.
func (r *jobReader) whole(field int, text string) string {
	if field != fieldDescription && field != fieldReason && strings.ContainsRune(text, utf8.RuneError) {
		r.fail(MalformedField, field, "holds U+FFFD or half a surrogate pair: the text was damaged on its way")
	}
	return text
}

// identifies reports whether a field names an order or a capture.
func identifies(field int) bool { return field == fieldOrderID || field == fieldCaptureID }

// number returns a number of a mapped event as the text that was written.
func (r *jobReader) number(field int, raw []byte) (string, bool) {
	if bytes.ContainsAny(raw, "eE") {
		reason := MalformedAmount
		if identifies(field) {
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
		r.fail(MalformedMissing, field, "the member is required, but it is absent or null")
	}
	return text
}

// optional treats blank text as absent.
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

// name reads the id of an order or a capture: invisible characters are removed, all
// others are kept.
func (r *jobReader) name(field int) (text string, changed bool) {
	given := r.optional(field)
	if n := utf8.RuneCountInString(given); n > maxName {
		r.fail(MalformedField, field, fmt.Sprintf("has %d characters; at most %d are allowed", n, maxName))
	}
	text = cleaned(given)
	r.standsAlone(field, text)
	return text, text != given
}

// description reads the description. It is for readers only, so no fault in it
// prevents a capture: it is cleaned, and cut if it is too long.
func (r *jobReader) description() (text string, changed bool) {
	given := r.optional(fieldDescription)
	text = shortened(cleaned(given), maxDescription)
	r.standsAlone(fieldDescription, text)
	return text, text != given
}

// url reads the notification address. Errors never repeat it, because it may hold a
// password or a token.
func (r *jobReader) url() string {
	text := r.optional(fieldNotifyURL)
	if text == "" {
		return ""
	}
	if len(text) > maxURL {
		r.fail(MalformedURL, fieldNotifyURL, fmt.Sprintf("has %d bytes; at most %d are allowed", len(text), maxURL))
	} else if err := r.d.hosts.check(text); err != nil {
		r.fail(MalformedURL, fieldNotifyURL, err.Error())
	}
	r.standsAlone(fieldNotifyURL, text)
	return text
}

// standsAlone refuses a text that contains a parameter of the gateway's call, as in
// "&amount=": the signature covers the parameters joined without encoding, and
// could not tell the two apart.
func (r *jobReader) standsAlone(field int, text string) {
	if SignsAsSeveral(text) {
		r.fail(MalformedField, field, "holds an & with the name of a parameter of the gateway's call and = behind it, as in &amount=; "+
			"the signature could not tell it from that parameter: write it without the &")
	}
}
