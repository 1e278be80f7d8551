package schemas

import "github.com/capture-worker/capture-worker/capture"

func says(text string, more ...any) object { return obj("description", text).with(more...) }

// eventMembers describes every member of an event and of what is in it.
func eventMembers() map[string]object {
	all := map[string]object{
		"event.id":           says("Unique. A message may come twice: remember it.", "minLength", 1),
		"event.type":         says("What is said, and the last token of the subject. Outcomes: captured (the money is taken), failed (no money moved), parked (an operator must look).", "anyOf", []object{obj("enum", capture.EventTypes()), obj("pattern", wordPattern)}),
		"event.trade_id":     says("The gateway's name of the authorization.", "pattern", tradeIDPattern),
		"event.time":         says("By the writer's clock. The order of a trade's events is that of the stream's sequences."),
		"event.worker":       says("Who wrote it."),
		"event.rule":         says("The row of docs/state-machine.md that led here."),
		"event.attempt":      says("The number of the request_id.", "minimum", 1),
		"event.call":         says("The number of the capture call.", "minimum", 1),
		"event.request_id":   says("The request_id of the latest attempt."),
		"event.lease_until":  says("Of attempted: the call has ended by then, for every worker."),
		"event.job":          says("What was asked for: of attempted, of the first event that knows the job, and of retried if the operator gave it more time."),
		"event.via":          says("The call that the answer came from.", "anyOf", open([]capture.Via{capture.ViaCapture, capture.ViaQuery})[0].value),
		"event.answer":       says("The evidence: what one gateway call told."),
		"event.retry_at":     says("Of answered and queried: nothing is asked before it, unless a notification comes, or queries agree: then the settle time and their spacing decide."),
		"event.reason":       says("Of failed and parked: why, in one word.", "minLength", 1),
		"event.amount":       says("Of the outcomes: captured tells the sum that was taken, failed and parked the sum that was asked for.", "pattern", amountPattern, "not", obj("pattern", zeroPattern)),
		"event.currency":     says("ISO 4217, of amount.", pairs(currencySchema().without("type"))...),
		"event.order_id":     says("The shop's name of the order, from the job."),
		"event.corrects":     says("The id of the outcome that this one corrects.", "minLength", 1),
		"event.notification": says("Of notified: what a verified notification said. It ends nothing by itself."),
		"event.excused":      says("Of answered and queried: the intake of jobs was paused for a fault of ours; the answer counts for nothing against the trade."),
		"event.by":           says("Of released, retried, withdrawn and dismissed: who.", "minLength", 1),
		"event.note":         says("Of released, retried, withdrawn and dismissed: why."),

		"notification.type":           says("payment or refund."),
		"notification.order_id":       says("The gateway's name of the order."),
		"notification.transaction_id": says("The gateway's name of the transaction."),
		"notification.state":          orderState(),
		"notification.amount":         says("As the gateway told it."),
		"notification.amount_text":    says("The amount and currency as they were sent, if they could not be read as money."),
		"notification.paid_time":      says("When it was paid, in Unix seconds, as it was sent."),
		"notification.rendering":      says("The form of the signed text that the signature agreed with."),
	}
	for name, about := range answerMembers() {
		all[name] = about
	}
	return all
}

func answerMembers() map[string]object {
	kinds := []capture.AnswerKind{capture.AnswerDone, capture.AnswerRefused, capture.AnswerUnknown, capture.AnswerNotSent}
	return map[string]object{
		"answer.kind":        says("How much the call told: unknown is no refusal.", "anyOf", open(kinds)[0].value),
		"answer.code":        says("The gateway's code, such as 200 or -4089."),
		"answer.why":         says("Why the answer is of its kind."),
		"answer.message":     says("The gateway's own text, cut to 200 bytes.", "maxLength", 200),
		"answer.response_id": says("The gateway's name of the answer, for its support desk."),
		"answer.http_status": says("Of the HTTP response, absent if none came.", "minimum", 100, "maximum", 999),
		"answer.latency_ns":  says("How long the call took, in nanoseconds."),
		"answer.order":       says("What the gateway said of the order."),

		"order.trade_id":            says("As the gateway told it."),
		"order.order_id":            says("The gateway's name of the order, not the shop's."),
		"order.state":               orderState(),
		"order.amount":              says("Absent where the gateway told none that can be read."),
		"order.settlement_amount":   says("As the gateway told it."),
		"order.settlement_currency": says("As the gateway told it."),
		"order.exchange_rate":       says("As the gateway told it."),
		"order.transaction_id":      says("The gateway's name of the transaction."),
		"order.paid_time":           says("When it was paid, in Unix seconds, as the gateway told it."),
		"order.created_at":          says("When the authorization was given, in Unix seconds, as the gateway told it."),
		"order.amount_text":         says("The amount and currency as the gateway told them, if they could not be read as money."),
	}
}

func orderState() object {
	return says("The gateway's word, in lower case.", "maxLength", 32, "examples", []capture.OrderState{
		capture.OrderPaid, capture.OrderAuthorized, capture.OrderPending, capture.OrderProcessing, capture.OrderVerify,
		capture.OrderDeclined, capture.OrderFailed, capture.OrderExpired, capture.OrderCancelled, capture.OrderRefunded,
	})
}
