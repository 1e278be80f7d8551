package gateway

import (
	"fmt"

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

// answer sorts an exchange. Only an envelope that was read whole is held
// against what was asked.
func (x *exchange) answer(q *question) capture.Answer {
	a := capture.Answer{HTTPStatus: x.status}
	switch {
	case x.err != nil && !x.connected.Load():
		return notSent(x.err)
	case x.err != nil && x.status == 0:
		unknown(&a, "no answer: %v", x.err)
	case x.err != nil:
		unknown(&a, "HTTP %d, and the answer could not be read: %v", x.status, x.err)
	case x.encoding != "":
		unknown(&a, "HTTP %d%s, packed as %q, which was not asked for and is not read", x.status, x.again(), cleanText(x.encoding, maxCode))
	default:
		x.judge(&a, q)
	}
	return a
}

// judge reads the body and fills in what it proves.
func (x *exchange) judge(a *capture.Answer, q *question) {
	r := readings.Get().(*reading)
	defer r.giveBack()
	e, err := readEnvelope(x.body, x.status, r)
	if err != nil {
		unknown(a, "HTTP %d%s, not the gateway's JSON (%d bytes)", x.status, x.again(), len(x.body))
		return
	}
	a.Message, a.ResponseID = e.message, e.responseID
	if why := e.doubt(); why != "" {
		unknown(a, "HTTP %d%s: %s", x.status, x.again(), why)
		return
	}
	// From here on the code is believed. Before, it is left out of the answer:
	// a -1000 or -4118 there would be counted as the gateway's word.
	a.Code = e.code
	e.judge(a, q, r)
}

// again names the Retry-After of the response.
func (x *exchange) again() string {
	if x.retryAfter == "" {
		return ""
	}
	return " (Retry-After " + x.retryAfter + ")"
}

// refusals are the codes of the gateway's table that say no.
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

// doubt says why an envelope is not believed, "" where it is.
//
// An HTTP error together with an envelope comes from a proxy, or from a
// gateway that broke midway; neither proves what became of the request. The
// two codes about our key and user are believed with a 4xx all the same: the
// gateway checks them before anything else, and they end no trade, they stop
// the worker before it burns more of them.
func (e *envelope) doubt() string {
	ok := e.httpStatus >= 200 && e.httpStatus <= 299
	ourFault := e.status == no && (e.code == capture.CodeSignature || e.code == capture.CodeUser)
	switch {
	case e.code == "":
		return "an answer without a code"
	case !ok && !(ourFault && e.httpStatus >= 400 && e.httpStatus <= 499):
		return "an HTTP status that is no success, with code " + e.code
	case e.status == unsaid:
		return "an answer without a status, with code " + e.code
	case (e.status == yes) != (e.code == capture.CodeSuccess):
		return "status and code contradict each other: code " + e.code
	}
	return ""
}

// judge sorts a believed envelope by its code.
func (e *envelope) judge(a *capture.Answer, q *question, r *reading) {
	why, final := refusals[e.code]
	switch {
	case e.code == capture.CodeSuccess && q.method == MethodCapture && !e.hasData:
		unknown(a, "a success without data")
	case e.code == capture.CodeSuccess && q.method == MethodCapture:
		judgeCapture(a, q, &r.data)
	case e.code == capture.CodeSuccess:
		judgeQuery(a, q, r)
	case final:
		refused(a, "%s", why)
	case e.code == capture.CodeInternal:
		unknown(a, "internal error of the gateway")
	default:
		unknown(a, "a code that the gateway's table does not have")
	}
}

// judgeCapture says what a success means for a capture.
func judgeCapture(a *capture.Answer, q *question, data *members) {
	order := data.order()
	a.Order = order
	if order.TradeID != q.tradeID {
		unknown(a, "an answer about another trade: %s", order.TradeID)
		return
	}
	switch order.State.Class() {
	case capture.OrderIsMoving:
		unknown(a, "accepted, not yet paid: %s", order.State)
	case capture.OrderIsDead:
		refused(a, "the capture ended as %s", order.State)
	case capture.OrderIsPaid:
		if order.Amount != q.amount {
			unknown(a, "paid with another amount: %s %s, not %s", data.text("amount"), data.text("currency"), q.amount)
			return
		}
		a.Kind, a.Why = capture.AnswerDone, "paid"
	default:
		unknown(a, "a success in a state that is none of a capture: %s", order.State)
	}
}

// judgeQuery says what a success means for an Order Query.
func judgeQuery(a *capture.Answer, q *question, r *reading) {
	info := &r.order
	if !r.data.object("transaction_info", info) {
		unknown(a, "a success without transaction_info")
		return
	}
	order := info.order()
	switch {
	case order.TradeID != q.tradeID:
		unknown(a, "an answer about another trade: %s", order.TradeID)
	case order.State == "":
		unknown(a, "an order without a state")
	case order.State == capture.OrderPaid && order.Amount.IsZero():
		a.Order = order
		unknown(a, "paid, with an amount that cannot be read: %s %s", info.text("amount"), info.text("currency"))
	default:
		a.Order = order
		a.Kind, a.Why = capture.AnswerDone, "the order is "+string(order.State)
	}
}
