package capture

import (
	"strconv"
	"time"
)

// jsonText appends JSON, byte for byte as encoding/json writes the structs with
// their tags; a test compares the two. Reflection would be most of the cost of
// writing an event.
type jsonText struct {
	b   []byte
	err error
}

func (w *jsonText) event(e *Event) {
	w.open()
	w.text("id", e.ID)
	w.text("type", string(e.Type))
	w.text("trade_id", e.TradeID)
	w.time("time", e.Time)
	w.text("worker", e.Worker)
	w.textIf("rule", e.Rule)
	w.numberIf("attempt", int64(e.Attempt))
	w.numberIf("call", int64(e.Call))
	w.textIf("request_id", e.RequestID)
	w.timeIf("lease_until", e.LeaseUntil)
	if e.Job != nil {
		w.name("job")
		w.job(e.Job)
	}
	if e.Source != nil {
		w.name("source")
		w.source(e.Source)
	}
	w.textIf("via", string(e.Via))
	if e.Answer != nil {
		w.name("answer")
		w.answer(e.Answer)
	}
	w.timeIf("retry_at", e.RetryAt)
	w.flagIf("excused", e.Excused)
	w.textIf("reason", e.Reason)
	w.textIf("amount", e.Amount)
	w.textIf("currency", e.Currency)
	w.textIf("order_id", e.OrderID)
	w.textIf("capture_id", e.CaptureID)
	w.textIf("corrects", e.Corrects)
	if e.Notification != nil {
		w.name("notification")
		w.notification(e.Notification)
	}
	w.textIf("by", e.By)
	w.textIf("note", e.Note)
	w.textIf("approved_by", e.ApprovedBy)
	w.close()
}

func (w *jsonText) job(j *Job) {
	w.open()
	w.text("trade_id", j.TradeID)
	w.text("amount", j.Amount.number)
	w.text("currency", j.Amount.currency)
	w.textIf("order_id", j.OrderID)
	w.textIf("description", j.Description)
	w.timeIf("authorized_at", j.AuthorizedAt)
	w.textIf("authorized_amount", j.AuthorizedAmount.number)
	w.timeIf("capture_before", j.CaptureBefore)
	w.textIf("notify_url", j.NotifyURL)
	w.textIf("capture_id", j.CaptureID)
	w.textIf("cleaned", j.Cleaned)
	w.close()
}

func (w *jsonText) source(s *Source) {
	w.open()
	w.text("stream", s.Stream)
	w.count("sequence", s.Sequence)
	w.textIf("publisher", s.Publisher)
	w.textIf("dlq_stream", s.DLQStream)
	if s.DLQSequence != 0 {
		w.count("dlq_sequence", s.DLQSequence)
	}
	w.close()
}

func (w *jsonText) answer(a *Answer) {
	w.open()
	w.text("kind", string(a.Kind))
	w.textIf("code", a.Code)
	w.textIf("why", a.Why)
	w.textIf("message", a.Message)
	w.textIf("response_id", a.ResponseID)
	w.numberIf("http_status", int64(a.HTTPStatus))
	w.numberIf("latency_ns", int64(a.Latency))
	if a.Order != nil {
		w.name("order")
		w.order(a.Order)
	}
	w.close()
}

func (w *jsonText) order(o *Order) {
	w.open()
	w.textIf("trade_id", o.TradeID)
	w.textIf("order_id", o.OrderID)
	w.text("state", string(o.State))
	w.amountIf("amount", o.Amount)
	w.textIf("settlement_amount", o.SettlementAmount)
	w.textIf("settlement_currency", o.SettlementCurrency)
	w.textIf("exchange_rate", o.ExchangeRate)
	w.textIf("transaction_id", o.TransactionID)
	w.textIf("paid_time", o.PaidTime)
	w.textIf("created_at", o.CreatedAt)
	w.textIf("amount_text", o.AmountText)
	w.close()
}

func (w *jsonText) notification(n *Notification) {
	w.open()
	w.textIf("type", n.Type)
	w.textIf("order_id", n.OrderID)
	w.textIf("transaction_id", n.TransactionID)
	w.text("state", string(n.State))
	w.amountIf("amount", n.Amount)
	w.textIf("amount_text", n.AmountText)
	w.textIf("paid_time", n.PaidTime)
	w.textIf("rendering", n.Rendering)
	w.close()
}

func (w *jsonText) open()  { w.b = append(w.b, '{') }
func (w *jsonText) close() { w.b = append(w.b, '}') }

func (w *jsonText) name(name string) {
	if w.b[len(w.b)-1] != '{' {
		w.b = append(w.b, ',')
	}
	w.b = append(w.b, '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, '"', ':')
}

func (w *jsonText) text(name, value string) {
	w.name(name)
	w.b = AppendJSON(w.b, value)
}

func (w *jsonText) textIf(name, value string) {
	if value != "" {
		w.text(name, value)
	}
}

func (w *jsonText) count(name string, n uint64) {
	w.name(name)
	w.b = strconv.AppendUint(w.b, n, 10)
}

func (w *jsonText) numberIf(name string, n int64) {
	if n != 0 {
		w.name(name)
		w.b = strconv.AppendInt(w.b, n, 10)
	}
}

func (w *jsonText) flagIf(name string, flag bool) {
	if flag {
		w.name(name)
		w.b = append(w.b, "true"...)
	}
}

// time appends a time. Years that RFC 3339 cannot write are an error; the first
// error is kept.
func (w *jsonText) time(name string, t time.Time) {
	w.name(name)
	w.b = append(w.b, '"')
	b, err := t.AppendText(w.b)
	if err != nil {
		if w.err == nil {
			w.err = err
		}
		return
	}
	w.b = append(b, '"')
}

func (w *jsonText) timeIf(name string, t time.Time) {
	if !t.IsZero() {
		w.time(name, t)
	}
}

func (w *jsonText) amountIf(name string, a Amount) {
	if a.IsZero() {
		return
	}
	w.name(name)
	w.open()
	w.text("amount", a.number)
	w.text("currency", a.currency)
	w.close()
}
