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
		if e.counted() {
			a.Code = e.code
		}
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

// doubt says why an envelope is not believed, "" if it is.
//
// A refusal in an HTTP 4xx is the gateway's own: what stands in front of it does
// not know its codes. A 5xx comes from a proxy, or from a gateway that broke
// midway, and does not prove what became of the request; nor does a success
// whose HTTP status says the opposite.
func (e *envelope) doubt() string {
	ok := e.httpStatus >= 200 && e.httpStatus <= 299
	clientError := e.httpStatus >= 400 && e.httpStatus <= 499
	switch {
	case e.twice != "":
		return "an answer that contradicts itself: " + e.twice + " stands twice with different values"
	case e.code == "":
		return "an answer without a code"
	case !ok && !(clientError && e.status == no):
		return "an HTTP status that is no success, with code " + e.code
	case e.status == unsaid:
		return "an answer without a status, with code " + e.code
	case (e.status == yes) != (e.code == capture.CodeSuccess):
		return "status and code contradict each other: code " + e.code
	}
	return ""
}

// counted reports whether the code of a doubted envelope is kept all the same: a
// code that the table does not have settles nothing whatever the HTTP status,
// and must be counted, so that a trade does not meet it for a month.
func (e *envelope) counted() bool {
	listed := e.code == capture.CodeSuccess || e.code == capture.CodeInternal || refusals[e.code] != ""
	return e.twice == "" && e.status == no && e.code != "" && !listed
}

// judge sorts a believed envelope by its code.
func (e *envelope) judge(a *capture.Answer, q *question, r *reading) {
	why, final := refusals[e.code]
	switch {
	case e.code == capture.CodeSuccess && q.method == MethodCapture && !e.hasData:
		unknown(a, "a success without data")
	case e.code == capture.CodeSuccess && q.method == MethodCapture:
		judgeCapture(a, q, r)
	case e.code == capture.CodeSuccess && !e.hasInfo:
		unknown(a, "a success without transaction_info")
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
func judgeCapture(a *capture.Answer, q *question, r *reading) {
	order := r.data.order()
	r.order.addFrom(order)
	a.Order = order
	if !capture.SameTrade(order.TradeID, q.tradeID) {
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
			unknown(a, "paid with another amount: %s %s, not %s", r.data.shown("amount"), r.data.shown("currency"), q.amount)
			return
		}
		a.Kind, a.Why = capture.AnswerDone, "paid"
	default:
		unknown(a, "a success in a state that is none of a capture: %s", order.State)
	}
}

// judgeQuery says what a success means for an Order Query. Paid, but with an
// amount or a trade that cannot be read, is done without an amount: asking again
// would give the same, and what was sent stands in AmountText.
func judgeQuery(a *capture.Answer, q *question, r *reading) {
	order := r.order.order()
	r.data.addFrom(order)
	paid := order.State == capture.OrderPaid
	switch {
	case paid && order.TradeID == "":
		a.Order = order
		order.Amount = capture.Amount{}
		order.AmountText = strings.TrimSpace(r.order.shown("amount") + " " + r.order.shown("currency") + ", no trade_id")
		a.Kind, a.Why = capture.AnswerDone, "the order is paid, with a trade that cannot be read"
	case !capture.SameTrade(order.TradeID, q.tradeID):
		a.Order = order
		unknown(a, "an answer about another trade: %s", order.TradeID)
	case order.State == "":
		unknown(a, "an order without a state")
	case paid && order.Amount.IsZero():
		a.Order = order
		a.Kind, a.Why = capture.AnswerDone, "the order is paid, with an amount that cannot be read: "+order.AmountText
	default:
		a.Order = order
		a.Kind, a.Why = capture.AnswerDone, "the order is "+string(order.State)
	}
}
