package gateway

import "github.com/capture-worker/capture-worker/capture"

// ReadCapture and ReadQuery read an answer without a connection, for fuzzing
// and measuring.

func ReadCapture(status int, body []byte, r CaptureRequest) capture.Answer {
	return read(status, body, func(a capture.Answer, e envelope) capture.Answer { return judgeCapture(a, e, r) })
}

func ReadQuery(status int, body []byte, tradeID string) capture.Answer {
	return read(status, body, func(a capture.Answer, e envelope) capture.Answer { return judgeQuery(a, e, tradeID) })
}

func read(status int, body []byte, judge judge) capture.Answer {
	x := &exchange{status: status, body: body}
	x.connected.Store(true)
	a := x.answer(judge)
	redact(&a, "example-secret-key", "3b0e9b056ff8553a9e9f9976df7901685e6ca3cf5795f72f01b61107a5532f97")
	return a
}
