package capture

import (
	"strconv"
	"strings"
	"time"
)

// AnswerKind says how much one gateway call told us.
type AnswerKind string

// The kinds of answers. A timeout is never a refusal.
const (
	// AnswerDone: the gateway did what was asked and said so in full. For a
	// capture: paid, with the trade, amount and currency asked for. For an
	// Order Query: it told the order.
	AnswerDone AnswerKind = "done"
	// AnswerRefused: the gateway said no, with a code of its table.
	AnswerRefused AnswerKind = "refused"
	// AnswerUnknown: the request may have been read, and what came back (or
	// did not) does not say what became of it.
	AnswerUnknown AnswerKind = "unknown"
	// AnswerNotSent: not one byte of the request can have reached the gateway.
	AnswerNotSent AnswerKind = "not_sent"
)

// ProbeTradeID is a trade_id that the gateway does not know: it answers a query
// about it with CodeTradeID. It is used to test whether the gateway answers, if no
// other trade is known, and is never captured.
const ProbeTradeID = "capture-worker-probe"

// The gateway's codes, as published on the page of v3.Capture.
const (
	CodeSuccess          = "200"
	CodeInternal         = "-1000" // internal error
	CodeSignature        = "-403"  // signature error: our fault
	CodeUser             = "-2001" // user does not exist: our fault
	CodeFieldMissing     = "-3001" // required field missing
	CodeRequestID        = "-4118" // incorrect request ID
	CodeWindowExceeded   = "-4089" // capture window exceeded
	CodeAmountExceeded   = "-4084" // amount above the authorization
	CodeCurrencyMismatch = "-4085" // currency differs from the authorization's
	CodeTradeID          = "-4024" // trade ID incorrect
)

// Answer is what one gateway call told us. It holds nothing secret: no
// signature, no key.
type Answer struct {
	Kind AnswerKind `json:"kind"`
	// Code is the gateway's code or "" if none was read.
	Code string `json:"code,omitempty"`
	// Why says in a few words why the answer is of its kind.
	Why string `json:"why,omitempty"`
	// Message is the gateway's own text, cut to 200 bytes.
	Message string `json:"message,omitempty"`
	// ResponseID is the gateway's name of this answer, for its support desk.
	ResponseID string `json:"response_id,omitempty"`
	// HTTPStatus is the status of the HTTP response, 0 if none came.
	HTTPStatus int `json:"http_status,omitempty"`
	// Latency is how long the call took, in nanoseconds in JSON.
	Latency time.Duration `json:"latency_ns,omitempty"`
	// Order is what the gateway said of the order, nil where it said nothing
	// readable.
	Order *Order `json:"order,omitempty"`
	// RetryAfter is how long the gateway asked not to be called again, by anyone
	// and about any trade: the Retry-After of a 429 or 503, bounded. It is not
	// stored.
	RetryAfter time.Duration `json:"-"`
}

// Err returns nil if the gateway did what was asked (AnswerDone), else an
// [*AnswerError]. It lets callers, and linters, treat an answer like any other
// Go result. The zero Answer is an error: no call was made.
func (a Answer) Err() error {
	if a.Kind == AnswerDone {
		return nil
	}
	return &AnswerError{Answer: a}
}

// AnswerError is an [Answer] other than done, as an error. Its Answer.Kind
// decides what may be done next: after AnswerRefused the call had no effect,
// after AnswerNotSent it may be repeated, and after AnswerUnknown only Order
// Query can show whether it took effect.
type AnswerError struct{ Answer Answer }

func (e *AnswerError) Error() string {
	a := e.Answer
	var text string
	switch a.Kind {
	case AnswerRefused:
		text = "the gateway refused the call"
	case AnswerNotSent:
		text = "the call was not sent"
	case AnswerUnknown:
		text = "the result of the call is unknown, ask Order Query"
	default:
		return "no call was made"
	}
	if a.Code != "" {
		text += " (code " + a.Code + ")"
	}
	if a.Why != "" {
		text += ": " + a.Why
	}
	return text
}

// OurFault reports a refusal that says something about our key or user and
// nothing about the trade: the pulling of jobs stops (rule 9).
func (a Answer) OurFault() bool {
	return a.Kind == AnswerRefused && (a.Code == CodeSignature || a.Code == CodeUser)
}

// NoSuchTrade reports that the gateway does not know the trade.
func (a Answer) NoSuchTrade() bool {
	return a.Kind == AnswerRefused && a.Code == CodeTradeID
}

// OrderState is what the gateway says of a trade, in lower case.
type OrderState string

// The order states of the gateway's documentation.
const (
	OrderPaid       OrderState = "paid"
	OrderAuthorized OrderState = "authorized"
	OrderPending    OrderState = "pending"
	OrderProcessing OrderState = "processing"
	OrderVerify     OrderState = "verify" // paid, under risk review
	OrderDeclined   OrderState = "declined"
	OrderFailed     OrderState = "failed"
	OrderExpired    OrderState = "expired"
	OrderCancelled  OrderState = "cancelled"
	OrderRefunded   OrderState = "refunded"
	// Words of the vendor's library that no page explains.
	OrderNew       OrderState = "new"
	OrderCompleted OrderState = "completed"
)

// maxOrderState bounds a word that the gateway chose and we write down.
const maxOrderState = 32

// ParseOrderState reads a state as the gateway writes it: any letter case,
// "canceled" for "cancelled", "initiated" for "pending". A word of no known
// meaning is returned as it is (in lower case, cut to 32 bytes); Class says
// OrderIsUnclear of it.
func ParseOrderState(s string) OrderState {
	s = strings.ToLower(strings.TrimSpace(s))
	switch s {
	case "canceled":
		return OrderCancelled
	case "initiated":
		return OrderPending
	}
	if len(s) > maxOrderState {
		s = strings.ToValidUTF8(s[:maxOrderState], "")
	}
	return OrderState(s)
}

// OrderClass sorts the order states by what they mean for a capture.
type OrderClass string

// The classes of order states.
const (
	OrderIsPaid    OrderClass = "paid"        // the money is taken
	OrderIsOpen    OrderClass = "authorized"  // not captured, as far as this view goes
	OrderIsMoving  OrderClass = "in progress" // new, pending, processing, verify: wait
	OrderIsDead    OrderClass = "dead"        // declined, failed, expired, cancelled
	OrderIsUnclear OrderClass = "unclear"     // refunded, completed, or a word we don't know
)

// Class sorts the state. "completed" is unclear: the vendor's library has the
// word and no page says whether it means that the money was taken, so that it
// neither captures nor fails a trade; an operator looks.
func (s OrderState) Class() OrderClass {
	switch s {
	case OrderPaid:
		return OrderIsPaid
	case OrderAuthorized:
		return OrderIsOpen
	case OrderNew, OrderPending, OrderProcessing, OrderVerify:
		return OrderIsMoving
	case OrderDeclined, OrderFailed, OrderExpired, OrderCancelled:
		return OrderIsDead
	}
	return OrderIsUnclear
}

// Order is the gateway's view of a trade.
type Order struct {
	TradeID string     `json:"trade_id,omitempty"`
	OrderID string     `json:"order_id,omitempty"` // the gateway's, not the shop's
	State   OrderState `json:"state"`
	// Amount is zero where the gateway sent none that can be read.
	Amount             Amount `json:"amount,omitzero"`
	SettlementAmount   string `json:"settlement_amount,omitempty"`
	SettlementCurrency string `json:"settlement_currency,omitempty"`
	ExchangeRate       string `json:"exchange_rate,omitempty"`
	TransactionID      string `json:"transaction_id,omitempty"`
	PaidTime           string `json:"paid_time,omitempty"`  // Unix seconds, as the gateway sends them
	CreatedAt          string `json:"created_at,omitempty"` // of the authorization, likewise
	// AmountText is the amount and currency as the gateway sent them, if they
	// could not be read as an Amount.
	AmountText string `json:"amount_text,omitempty"`
}

// maxUnixSeconds bounds the times that are believed: the end of the year 9999.
const maxUnixSeconds = 253402300799

// UnixSeconds reads a time as the gateway sends it: Unix seconds in decimal
// digits. It returns the zero time if s is anything else.
func UnixSeconds(s string) time.Time {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || n > maxUnixSeconds {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}
