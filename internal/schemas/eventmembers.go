package schemas

import "github.com/capture-worker/capture-worker/capture"

func describe(text string, more ...any) object { return obj("description", text).with(more...) }

// eventMembers describes every member of an event and of its nested objects.
func eventMembers() map[string]object {
	all := map[string]object{
		"event.id":           describe("Unique. A message may be delivered more than once: use it to detect duplicates.", "minLength", 1),
		"event.type":         describe("The type, and the last token of the subject. Outcomes: captured (the money was taken), failed (no money was taken), parked (an operator must look).", "anyOf", []object{obj("enum", capture.EventTypes()), obj("pattern", wordPattern)}),
		"event.trade_id":     describe("The gateway's id of the authorization.", "pattern", tradeIDPattern),
		"event.time":         describe("By the writer's clock. The events of a trade are ordered by the stream's sequences."),
		"event.worker":       describe("The writer."),
		"event.rule":         describe("The row of docs/state-machine.md that led to the event."),
		"event.attempt":      describe("The number of the request_id.", "minimum", 1),
		"event.call":         describe("The number of the capture call.", "minimum", 1),
		"event.request_id":   describe("The request_id of the latest attempt."),
		"event.lease_until":  describe("Of attempted: the call has ended by then."),
		"event.job":          describe("The request: in attempted, in the first event that knows the job, and in retried with a new deadline."),
		"event.source":       describe("Of attempted: the message of the job, as the stream and the message itself say."),
		"event.via":          describe("The call that the answer came from.", "anyOf", open([]capture.Via{capture.ViaCapture, capture.ViaQuery})[0].value),
		"event.answer":       describe("The evidence: the answer to one gateway call."),
		"event.retry_at":     describe("Of answered and queried: the earliest next query or call, unless a notification arrives, or queries agree and only the settle time and their spacing are left."),
		"event.reason":       describe("Of failed and parked: the reason, as one word.", "minLength", 1),
		"event.amount":       describe("Of the outcomes: the captured amount in captured, the requested amount in failed and parked.", "pattern", amountPattern, "not", obj("pattern", zeroPattern)),
		"event.currency":     describe("ISO 4217, of amount.", pairs(currencySchema().without("type"))...),
		"event.order_id":     describe("The shop's order number, from the job."),
		"event.capture_id":   describe("Of the outcomes: the shop's id of the capture, from the job.", "minLength", 1),
		"event.corrects":     describe("The id of the outcome that this one replaces.", "minLength", 1),
		"event.notification": describe("Of notified: the content of a verified notification. It is no outcome by itself."),
		"event.excused":      describe("Of answered and queried: the intake of jobs was paused for a fault of ours; the answer does not count against the trade."),
		"event.by":           describe("Of released, retried, withdrawn and dismissed: the operator.", "minLength", 1),
		"event.note":         describe("Of released, retried, withdrawn and dismissed: the reason."),
		"event.approved_by":  describe("Of released and retried: the second operator, if the sum is above approval.above."),

		"source.stream":       describe("The stream of the jobs."),
		"source.sequence":     describe("Of the message in that stream.", "minimum", 1),
		"source.publisher":    describe("The operator who published the message, by its header Capture-Published-By."),
		"source.dlq_stream":   describe("Of a job that was a dead letter before: the stream of the dead letter."),
		"source.dlq_sequence": describe("The sequence of the dead letter there.", "minimum", 1),

		"notification.type":           describe("payment or refund."),
		"notification.order_id":       describe("The gateway's order number."),
		"notification.transaction_id": describe("The gateway's id of the transaction."),
		"notification.state":          orderState(),
		"notification.amount":         describe("As sent by the gateway."),
		"notification.amount_text":    describe("The amount and currency as sent by the gateway, if they could not be parsed."),
		"notification.paid_time":      describe("When it was paid, in Unix seconds, as sent by the gateway."),
		"notification.rendering":      describe("The way of building the signed text that matched the signature."),
	}
	for name, about := range answerMembers() {
		all[name] = about
	}
	return all
}

func answerMembers() map[string]object {
	kinds := []capture.AnswerKind{capture.AnswerDone, capture.AnswerRefused, capture.AnswerUnknown, capture.AnswerNotSent}
	return map[string]object{
		"answer.kind":        describe("How much the answer proves. unknown is not a refusal.", "anyOf", open(kinds)[0].value),
		"answer.code":        describe("The gateway's code, such as 200 or -4089."),
		"answer.why":         describe("The reason for the kind."),
		"answer.message":     describe("The gateway's text, cut to 200 bytes.", "maxLength", 200),
		"answer.response_id": describe("The gateway's id of the answer, for its support."),
		"answer.http_status": describe("Of the HTTP response, absent if there was none.", "minimum", 100, "maximum", 999),
		"answer.latency_ns":  describe("How long the call took, in nanoseconds."),
		"answer.order":       describe("The order, as the gateway shows it."),

		"order.trade_id":            describe("As sent by the gateway."),
		"order.order_id":            describe("The gateway's order number, not the shop's."),
		"order.state":               orderState(),
		"order.amount":              describe("Absent if the gateway sent none that can be parsed."),
		"order.settlement_amount":   describe("As sent by the gateway."),
		"order.settlement_currency": describe("As sent by the gateway."),
		"order.exchange_rate":       describe("As sent by the gateway."),
		"order.transaction_id":      describe("The gateway's id of the transaction."),
		"order.paid_time":           describe("When it was paid, in Unix seconds, as sent by the gateway."),
		"order.created_at":          describe("When the authorization was given, in Unix seconds, as sent by the gateway."),
		"order.amount_text":         describe("The amount and currency as sent by the gateway, if they could not be parsed."),
	}
}

func orderState() object {
	return describe("The gateway's state, in lower case.", "maxLength", 32, "examples", []capture.OrderState{
		capture.OrderPaid, capture.OrderAuthorized, capture.OrderPending, capture.OrderProcessing, capture.OrderVerify,
		capture.OrderDeclined, capture.OrderFailed, capture.OrderExpired, capture.OrderCancelled, capture.OrderRefunded,
	})
}
