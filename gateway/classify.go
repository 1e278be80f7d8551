package gateway

import (
	"fmt"
	"strings"

	"github.com/capture-worker/capture-worker/capture"
)

func notSent(err error) capture.Answer {
	return capture.Answer{Kind: capture.AnswerNotSent, Why: err.Error()}
}

func unknown(a *capture.Answer, format string, args ...any) {
	a.Kind, a.Why = capture.AnswerUnknown, fmt.Sprintf(format, args...)
}

func refused(a *capture.Answer, format string, args ...any) {
	a.Kind, a.Why = capture.AnswerRefused, fmt.Sprintf(format, args...)
}

// answer classifies an exchange. Only a complete envelope is compared with the
// question.
func (x *exchange) answer(q *question) capture.Answer {
	a := capture.Answer{HTTPStatus: x.status}
	switch {
	case x.err != nil && !x.connected.Load():
		return notSent(x.err)
	case x.err != nil && x.status == 0:
		unknown(&a, "no answer: %v", x.err)
	case x.err != nil:
		unknown(&a, "HTTP %d, and reading the answer failed: %v", x.status, x.err)
	case x.encoding != "":
		unknown(&a, "HTTP %d%s with unsupported Content-Encoding %q", x.status, x.retryAfterText(), cleanText(x.encoding, maxCode))
	default:
		x.judge(&a, q)
	}
	return a
}

// judge reads the body and fills in the answer.
func (x *exchange) judge(a *capture.Answer, q *question) {
	r := readings.Get().(*reading)
	defer r.release()
	e, err := readEnvelope(x.body, x.status, r)
	if err != nil {
		unknown(a, "HTTP %d%s, not a JSON object (%d bytes)", x.status, x.retryAfterText(), len(x.body))
		return
	}
	a.Message, a.ResponseID = e.message, e.responseID
	if why := e.doubt(); why != "" {
		unknown(a, "HTTP %d%s: %s", x.status, x.retryAfterText(), why)
		if e.counted() {
			a.Code = e.code
		}
		return
	}
	// Only here the code is set: the code of a doubtful answer must not count as one
	// of the gateway, such as -1000 or -4118.
	a.Code = e.code
	e.judge(a, q, r)
}

// retryAfterText returns the Retry-After of the response for a message.
func (x *exchange) retryAfterText() string {
	if x.retryAfter == "" {
		return ""
	}
	return " (Retry-After " + x.retryAfter + ")"
}

// refusals are the codes of the gateway's table that refuse a call.
var refusals = map[string]string{
	capture.CodeSignature:        "signature error",
	capture.CodeUser:             "the user does not exist",
	capture.CodeFieldMissing:     "a required field is missing",
	capture.CodeRequestID:        "incorrect request ID",
	capture.CodeWindowExceeded:   "the capture window is exceeded",
	capture.CodeAmountExceeded:   "the amount exceeds the authorization",
	capture.CodeCurrencyMismatch: "the currency differs from the authorization's",
	capture.CodeTradeID:          "the trade ID is incorrect",
}

// doubt returns why an envelope cannot be relied on, or "" if it can.
//
// A refusal with HTTP 4xx comes from the gateway, because a proxy does not know its
// codes. An HTTP 5xx may come from a proxy, or from a gateway that failed midway, and
// does not prove what happened. Nor does a body that reports success under an HTTP
// status other than 2xx.
func (e *envelope) doubt() string {
	ok := e.httpStatus >= 200 && e.httpStatus <= 299
	clientError := e.httpStatus >= 400 && e.httpStatus <= 499
	switch {
	case e.conflict != "":
		return "contradictory answer: " + e.conflict + " occurs twice with different values"
	case e.code == "":
		return "answer without a code"
	case !ok && !(clientError && e.status == no):
		return "not a successful HTTP status, with code " + e.code
	case e.status == missing:
		return "answer without a status, with code " + e.code
	case (e.status == yes) != (e.code == capture.CodeSuccess):
		return "contradictory answer: status and code do not match, code " + e.code
	}
	return ""
}

// counted reports whether the code of a doubtful envelope is set in the answer anyway.
// A code that the table does not list proves nothing, whatever the HTTP status, and is
// counted so that a trade with such answers is parked in time.
func (e *envelope) counted() bool {
	listed := e.code == capture.CodeSuccess || e.code == capture.CodeInternal || refusals[e.code] != ""
	return e.conflict == "" && e.status == no && e.code != "" && !listed
}

// judge classifies a usable envelope by its code.
func (e *envelope) judge(a *capture.Answer, q *question, r *reading) {
	why, final := refusals[e.code]
	switch {
	case e.code == capture.CodeSuccess && q.method == MethodCapture && !e.hasData:
		unknown(a, "success without data")
	case e.code == capture.CodeSuccess && q.method == MethodCapture:
		judgeCapture(a, q, r)
	case e.code == capture.CodeSuccess && !e.hasInfo:
		unknown(a, "success without transaction_info")
	case e.code == capture.CodeSuccess:
		judgeQuery(a, q, r)
	case final:
		refused(a, "%s", why)
	case e.code == capture.CodeInternal:
		unknown(a, "internal error of the gateway")
	default:
		unknown(a, "a code that the gateway does not document")
	}
}

// judgeCapture classifies a success of a capture.
func judgeCapture(a *capture.Answer, q *question, r *reading) {
	order := r.data.order()
	r.order.addFrom(order)
	a.Order = order
	if !capture.SameTrade(order.TradeID, q.tradeID) {
		unknown(a, "answer about another trade: %s", order.TradeID)
		return
	}
	switch order.State.Class() {
	case capture.OrderIsMoving:
		unknown(a, "accepted, not yet paid: %s", order.State)
	case capture.OrderIsDead:
		refused(a, "the capture ended as %s", order.State)
	case capture.OrderIsPaid:
		if order.Amount != q.amount {
			unknown(a, "paid with another amount: %s %s, not %s", r.data.shown("amount"), r.data.shown("currency"), q.amount)
			return
		}
		a.Kind, a.Why = capture.AnswerDone, "paid"
	default:
		unknown(a, "success with an unexpected state: %s", order.State)
	}
}

// judgeQuery classifies a success of an Order Query. Paid with an unreadable amount or
// trade is done, without an amount and with the text in AmountText: another query
// would give the same answer.
func judgeQuery(a *capture.Answer, q *question, r *reading) {
	order := r.order.order()
	r.data.addFrom(order)
	paid := order.State == capture.OrderPaid
	switch {
	case paid && order.TradeID == "":
		a.Order = order
		order.Amount = capture.Amount{}
		order.AmountText = strings.TrimSpace(r.order.shown("amount") + " " + r.order.shown("currency") + ", no trade_id")
		a.Kind, a.Why = capture.AnswerDone, "the order is paid, without a readable trade_id"
	case !capture.SameTrade(order.TradeID, q.tradeID):
		a.Order = order
		unknown(a, "answer about another trade: %s", order.TradeID)
	case order.State == "":
		unknown(a, "order without a state")
	case paid && order.Amount.IsZero():
		a.Order = order
		a.Kind, a.Why = capture.AnswerDone, "the order is paid, with an unreadable amount: "+order.AmountText
	default:
		a.Order = order
		a.Kind, a.Why = capture.AnswerDone, "the order is "+string(order.State)
	}
}
