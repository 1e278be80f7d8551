package capture

import (
	"strconv"
	"strings"
	"time"
)

// AnswerKind says how much is known after one gateway call.
type AnswerKind string

// The kinds of answers. A timeout is never a refusal.
const (
	// AnswerDone means that the gateway did what was requested and confirmed it
	// completely: a capture as paid, with the requested trade, amount and currency;
	// an Order Query with the order.
	AnswerDone AnswerKind = "done"
	// AnswerRefused means that the gateway refused the call with a code of its
	// table.
	AnswerRefused AnswerKind = "refused"
	// AnswerUnknown means that the gateway may have read the request, and that its
	// response, if there was one, does not show the result.
	AnswerUnknown AnswerKind = "unknown"
	// AnswerNotSent means that no byte of the request can have reached the gateway.
	AnswerNotSent AnswerKind = "not_sent"
)

// ProbeTradeID is a trade_id that the gateway does not know: it answers a query
// about it with CodeTradeID. Queries about it test whether the gateway answers if
// no other trade is known. It is never captured.
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

// Answer is the result of one gateway call. It holds no secret: neither signature
// nor key.
type Answer struct {
	Kind AnswerKind `json:"kind"`
	// Code is the gateway's code, "" if the response had none.
	Code string `json:"code,omitempty"`
	// Why is a short reason for the kind.
	Why string `json:"why,omitempty"`
	// Message is the gateway's own text, cut to 200 bytes.
	Message string `json:"message,omitempty"`
	// ResponseID is the gateway's id of this response, for its support.
	ResponseID string `json:"response_id,omitempty"`
	// HTTPStatus is the status of the HTTP response, 0 if none came.
	HTTPStatus int `json:"http_status,omitempty"`
	// Latency is how long the call took, in nanoseconds in JSON.
	Latency time.Duration `json:"latency_ns,omitempty"`
	// Order is the order as the gateway showed it, nil if it showed nothing
	// readable.
	Order *Order `json:"order,omitempty"`
	// RetryAfter is the time for which the gateway asked for no further calls about
	// any trade: the Retry-After header of a 429 or 503, limited. It is not stored.
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

// AnswerError is an [Answer] other than done, as an error. Its Answer.Kind decides
// the next step: after AnswerRefused the call had no effect, after AnswerNotSent it
// may be repeated, and after AnswerUnknown only Order Query can show whether it
// took effect.
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

// OurFault reports whether the gateway refused our key or our user. Such a refusal
// shows nothing about the trade, and the intake of jobs is paused (rule 9).
func (a Answer) OurFault() bool {
	return a.Kind == AnswerRefused && (a.Code == CodeSignature || a.Code == CodeUser)
}

// NoSuchTrade reports whether the gateway answered that it does not know the trade.
func (a Answer) NoSuchTrade() bool {
	return a.Kind == AnswerRefused && a.Code == CodeTradeID
}

// OrderState is the state of a trade at the gateway, in lower case.
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
	// States in the vendor's library that none of its pages explains.
	OrderNew       OrderState = "new"
	OrderCompleted OrderState = "completed"
)

// maxOrderState limits the length of an unknown state, which is stored.
const maxOrderState = 32

// ParseOrderState reads a state as the gateway writes it: any letter case,
// "canceled" for "cancelled", "initiated" for "pending". An unknown state is
// returned unchanged (in lower case, cut to 32 bytes); its Class is OrderIsUnclear.
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

// OrderClass is the meaning of an order state for a capture.
type OrderClass string

// The classes of order states.
const (
	OrderIsPaid    OrderClass = "paid"        // the money is taken
	OrderIsOpen    OrderClass = "authorized"  // not captured, as far as Order Query shows
	OrderIsMoving  OrderClass = "in progress" // new, pending, processing, verify: wait
	OrderIsDead    OrderClass = "dead"        // declined, failed, expired, cancelled
	OrderIsUnclear OrderClass = "unclear"     // refunded, completed, or an unknown state
)

// Class returns the class of the state. "completed" is unclear: the vendor's
// library has this state, but no page says whether it means that the money was
// taken. It neither captures nor fails a trade; an operator has to look.
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
	// Amount is zero if the gateway sent none that can be read.
	Amount             Amount `json:"amount,omitzero"`
	SettlementAmount   string `json:"settlement_amount,omitempty"`
	SettlementCurrency string `json:"settlement_currency,omitempty"`
	ExchangeRate       string `json:"exchange_rate,omitempty"`
	TransactionID      string `json:"transaction_id,omitempty"`
	PaidTime           string `json:"paid_time,omitempty"`  // Unix seconds, as the gateway sends them
	CreatedAt          string `json:"created_at,omitempty"` // when the authorization was made, in the same form
	// AmountText is the amount and currency as the gateway sent them, if they
	// could not be read as an Amount.
	AmountText string `json:"amount_text,omitempty"`
}

// maxUnixSeconds is the latest time that is accepted: the end of the year 9999.
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
