package capture

import "errors"

// ErrNotOurs means that jobs.match does not select the message: it is an event for
// other consumers, to be acknowledged and otherwise ignored.
var ErrNotOurs = errors.New("not selected by jobs.match")

// Reasons why a job is malformed. Each is the last token of the subject
// capture.dlq.<reason>; docs/jobs.md says what to do about each.
const (
	MalformedNotJSON    = "not_json"         // not one JSON text in UTF-8
	MalformedNotObject  = "not_object"       // JSON, but not an object
	MalformedDuplicate  = "duplicate_member" // a member of a job occurs twice
	MalformedCase       = "member_case"      // a member differs from one of a job in letter case only
	MalformedMissing    = "missing_field"    // trade_id, amount or currency is absent
	MalformedTradeID    = "bad_trade_id"     // not 1 to 64 of A-Z a-z 0-9 _ -
	MalformedAmount     = "bad_amount"       // not a plain positive decimal, or above the authorization
	MalformedCurrency   = "bad_currency"     // not an upper-case ISO 4217 code
	MalformedTime       = "bad_time"         // not RFC 3339, or times that contradict each other
	MalformedURL        = "bad_url"          // not an absolute https URL, or with a host that is not allowed
	MalformedField      = "bad_field"        // wrong JSON type, too long, not printable, or read as another parameter
	MalformedCloudEvent = "bad_cloudevent"   // an event that CloudEvents 1.x does not allow, or with no JSON in it
	MalformedTooLarge   = "too_large"        // too many bytes, or nested too deep
)

// MalformedReasons lists every reason that a MalformedError may carry.
func MalformedReasons() []string {
	return []string{
		MalformedNotJSON, MalformedNotObject, MalformedDuplicate, MalformedCase, MalformedMissing,
		MalformedTradeID, MalformedAmount, MalformedCurrency, MalformedTime, MalformedURL,
		MalformedField, MalformedCloudEvent, MalformedTooLarge,
	}
}

// MalformedError is the fault of a message that is not a valid job. Redelivery does
// not help. Its text is short for every message, and repeats neither description
// nor URL, which may be confidential.
type MalformedError struct {
	Reason string // one of MalformedReasons
	Field  string // the path in the message, "" if it is about the whole
	Detail string // the fault and what is allowed, for readers
}

// Error implements error.
func (e *MalformedError) Error() string {
	where := ""
	if e.Field != "" {
		where = e.Field + ": "
	}
	return "malformed job (" + e.Reason + "): " + where + e.Detail
}

func malformed(reason, field, detail string) error {
	return &MalformedError{Reason: reason, Field: field, Detail: detail}
}
